// See request_fields.h.
#include "server/request_fields.h"

#include <limits>

namespace bantam::server {

Status parse_ids(const JsonValue& array, std::string_view name, std::vector<int32_t>* out) {
  if (!array.is_array()) return bad_input("{}: expected an array of token ids, got {}", name, array.kind_name());
  out->reserve(array.items().size());
  for (const JsonValue& item : array.items()) {
    auto id = item.as_int64();
    if (!id.ok() || *id < 0 || *id > std::numeric_limits<int32_t>::max()) {
      return bad_input("{}: expected token ids, got {}", name,
                       item.is_number() ? item.number_text() : std::string(item.kind_name()));
    }
    out->push_back(static_cast<int32_t>(*id));
  }
  return {};
}

}  // namespace bantam::server
