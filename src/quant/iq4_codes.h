// Nearest values of the iq4 code book, for the searches of iq4_nl and iq4_xs. Stateless; thread-safe.
#pragma once

#include <array>
#include <cstdint>

#include "quant/fit_symmetric.h"
#include "quant/iq4_nl.h"

namespace bantam::quant {

// For every whole number -127..113 the code whose value is nearest (at equal distance the lower). Rounding first and
// looking up after loses nothing but ties: the midpoints between values are halves or whole numbers.
inline constexpr std::array<uint8_t, 241> kIq4Nearest = [] {
  std::array<uint8_t, 241> t{};
  for (int v = -127; v <= 113; ++v) {
    int best = 0;
    for (int c = 1; c < 16; ++c) {
      const int a = v - kIq4Values[c], b = v - kIq4Values[best];
      if (a * a < b * b) best = c;
    }
    t[static_cast<size_t>(v + 127)] = static_cast<uint8_t>(best);
  }
  return t;
}();
inline constexpr std::array<float, 241> kIq4NearestValue = [] {
  std::array<float, 241> t{};
  for (size_t i = 0; i < t.size(); ++i) t[i] = kIq4Values[kIq4Nearest[i]];
  return t;
}();

struct Iq4Codes {
  static constexpr float kMin = -127.0f;
  static constexpr float kMax = 113.0f;
  static F4 nearest(F4 t) {
    const F4 r = round4(min4(max4(t, splat(kMin)), splat(kMax)));
    F4 v;
    for (int i = 0; i < 4; ++i) v[i] = kIq4NearestValue[static_cast<size_t>(static_cast<int>(r[i]) + 127)];
    return v;
  }
  // The 4-bit code of a value of the book.
  static int code_of(float value) { return kIq4Nearest[static_cast<size_t>(static_cast<int>(value) + 127)]; }
};

}  // namespace bantam::quant
