// The kernel table: the function pointers that are a backend. One table per instruction set, chosen once at run time;
// a table fills only what it does better and inherits the rest, so every table is complete. All tables give the same
// bits: every output element has one fixed reduction order (docs/numerics.md).
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "kernels/linear_kernels.h"
#include "kernels/row_kernels.h"

namespace bantam::kernels {

struct Table {
  std::string_view name;  // "generic", "avx2", "avx512", "amx"
  LinearKernels linear;   // packed matrix products: linear_kernels.h
  RowKernels rows;        // norms, rotation, attention, activations: row_kernels.h
};

// Tables this machine can run, best first; never empty (generic is always there).
std::span<const Table* const> available_tables();
// The named table; "" picks the best. Error lists what this machine has.
Result<const Table*> find_table(std::string_view name);

}  // namespace bantam::kernels
