// Unicode normalisation form C (UAX #15), with the tables of the reference's normaliser (see unicode.h). Linear in the
// text but for the sorting of runs of combining marks (n log n). Used by the tokenizer on the text between control
// tokens. Stateless, hence thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bantam::text {

// A stretch of the input that normalisation replaced by other bytes; what lies between edits is copied.
struct NfcEdit {
  size_t in_begin, in_end;    // bytes of the input
  size_t out_begin, out_end;  // bytes of the output
};

// The NFC form of `text`: `text` itself when it is in NFC already (the usual case, nothing is copied), else a view of
// *buffer, which gets the new text. Bytes that are not UTF-8 stay and act as starters that combine with nothing.
// `edits`, when given, gets what changed, in order.
std::string_view to_nfc(std::string_view text, std::string* buffer, std::vector<NfcEdit>* edits = nullptr);

}  // namespace bantam::text
