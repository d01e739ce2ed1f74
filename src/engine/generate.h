// generate(): one answer on one session: prefill, sample until a stop, parse, time. What run, complete and chat share.
#pragma once

#include "bantam/session.h"
#include "engine/answer_builder.h"
#include "text/tokenizer.h"

namespace bantam::engine {

// Makes the session's timeline `prompt`, then generates. The stop id is part of the timeline when it was appended by
// the next call only; the session ends with the last generated token not yet fed.
Result<Generation> generate(Session& session, const text::Tokenizer& tokenizer, std::span<const int32_t> prompt,
                            const GenerateOptions& options, const DeltaFn& on_delta = {},
                            const PrefillProgress& on_progress = {});

}  // namespace bantam::engine
