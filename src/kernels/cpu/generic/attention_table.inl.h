// The entries of a table's attention: which pages go which way, merging and finishing. Included last.

void attention_merge(const AttentionState& total, const AttentionState& run, int64_t row_begin, int64_t row_end,
                     int64_t head_dim) {
  for (int64_t row = row_begin; row < row_end; ++row) {
    const float m0 = total.max[row], m1 = run.max[row];
    const float m = m0 > m1 ? m0 : m1;
    const Vec a = exp(Vec::all(m0 - m)), b = exp(Vec::all(m1 - m));
    total.max[row] = m;
    total.sum[row] = __builtin_fmaf(run.sum[row], first_lane(b), total.sum[row] * first_lane(a));
    float* out = total.out + row * head_dim;
    const float* other = run.out + row * head_dim;
    for (int64_t d = 0; d < head_dim; d += 16) {
      fma(Vec::load(other + d), b, Vec::load(out + d) * a).store(out + d);
    }
  }
}

void attention_finish(const float* state_out, float sum, int64_t head_dim, float* out) {
  const Vec divisor = Vec::all(sum);
  for (int64_t d = 0; d < head_dim; d += 16) (Vec::load(state_out + d) / divisor).store(out + d);
}

void attention_run(const AttentionRun& run, const AttentionState& state, float* scratch) {
  if (run.dtype == DType::kF16) {
    attend_pages<uint16_t>(run, state, scratch);
  } else if (run.dtype == DType::kF32) {
    attend_pages<float>(run, state, scratch);
  } else if (!run.integer) {
    attend_decoded(run, state, scratch);
  } else if (run.dtype == DType::kQ8_0) {
    attend_coded<false>(run, state, scratch);
  } else {
    attend_coded<true>(run, state, scratch);
  }
}

void fill_attention(RowKernels& rows) {
  rows.attention_run = attention_run;
  rows.attention_merge = attention_merge;
  rows.attention_finish = attention_finish;
}
