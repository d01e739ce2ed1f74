// Random but valid weights of every type, straight in the stored form: what `synth` fills full-size models with.
// Called by synth and tests. A pure function of (type, seed, block index): any split of a tensor over calls and
// threads gives the same bytes. Thread-safe.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace bantam::quant {

// Writes blocks first_block .. first_block + n_blocks - 1 (elements, for plain float types) of stream `seed`. Decoded
// values are finite, of mean zero and standard deviation about `stddev`. Block types draw their codes uniformly and
// vary their scales; plain floats are triangularly distributed over +-2.45 stddev.
// REQUIRES: find_format(type) != nullptr; out holds n_blocks * info(type).block_bytes; stddev finite, >= 0.
void random_blocks(DType type, uint64_t seed, uint64_t first_block, uint8_t* out, int64_t n_blocks, float stddev);

}  // namespace bantam::quant
