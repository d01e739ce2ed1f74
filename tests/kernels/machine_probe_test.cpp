#include "kernels/machine_probe.h"

#include <gtest/gtest.h>

#include "kernels/table.h"

namespace bantam::kernels {
namespace {

// Orders of magnitude only: a probe whose loop was optimised away reports absurd rates, a broken one nothing.
TEST(MachineProbe, RatesAreOfThisWorld) {
  ThreadPool pool(2);
  const double read = measure_read_gbs(pool, int64_t{32} << 20);
  EXPECT_GT(read, 0.1);
  EXPECT_LT(read, 5000);
  for (const Table* table : available_tables()) {
    const double fma = measure_fma_gflops(pool, table->name), int8 = measure_int8_gops(pool, table->name);
    EXPECT_GT(fma, 0.05) << table->name;
    EXPECT_LT(fma, 2000) << table->name;
    EXPECT_GT(int8, 0.05) << table->name;
    EXPECT_LT(int8, 40000) << table->name;
  }
}

}  // namespace
}  // namespace bantam::kernels
