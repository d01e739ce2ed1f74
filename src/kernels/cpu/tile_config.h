// The operand of LDTILECFG: shapes of the eight tile registers of a thread. Source: Intel SDM vol. 1 section 18.2.
// Whoever loads one releases it (TILERELEASE) before returning, so that an idle thread's tiles need no saving.
#pragma once

#include <cstdint>

namespace bantam::kernels {

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

}  // namespace bantam::kernels
