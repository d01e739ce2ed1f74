// The web UI as embedded files: web/ and the libraries it uses, put together by cmake/web_assets.cmake. The server's
// routes `GET /` and `GET /ui/...` answer from this table. Immutable and thread-safe; nothing is read from disk.
#pragma once
#include <span>
#include <string_view>

namespace bantam::server {

struct WebAsset {
  std::string_view path;      // the request's path: "/" or "/ui/js/app.js"
  std::string_view type;      // Content-Type
  std::string_view bytes;     // the body
  std::string_view etag;      // strong, with its quotes; of the uncompressed content
  std::string_view encoding;  // Content-Encoding that `bytes` has: "gzip", or empty for none
};

// Sorted by path.
std::span<const WebAsset> web_assets();

}  // namespace bantam::server
