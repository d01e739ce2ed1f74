// exp of 16 lanes, the same operations on every table: n = round(x / ln 2), r = x - n ln 2 in two FMA steps, a degree-6
// polynomial in r (own fit: relative error 4e-9 on |r| <= ln 2 / 2, first two coefficients exactly 1), times 2^n
// rounded once. At most 1 ulp off, denormal results included; exp(0) is exactly 1. Overflows to infinity, underflows to
// 0, keeps NaN. Included after a vec_*.inl.h.
inline Vec exp(Vec x) {
  const Vec magic = Vec::all(0x1.8p23f);
  x = max(Vec::all(-105.0f), min(Vec::all(89.0f), x));
  const Vec shifted = fma(x, Vec::all(0x1.715476p+0f), magic);  // the sum rounds to an integer
  const Vec n = shifted - magic;
  Vec r = fma(n, Vec::all(-0x1.62e43p-1f), x);
  r = fma(n, Vec::all(0x1.05c61p-29f), r);
  Vec p = Vec::all(0x1.6a23dp-10f);
  p = fma(p, r, Vec::all(0x1.123a2p-7f));
  p = fma(p, r, Vec::all(0x1.5558f2p-5f));
  p = fma(p, r, Vec::all(0x1.555492p-3f));
  p = fma(p, r, Vec::all(0x1.fffffcp-2f));
  p = fma(p, r, Vec::all(1.0f));
  p = fma(p, r, Vec::all(1.0f));
  return scale_by_power(p, n, shifted);
}
