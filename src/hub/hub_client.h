// What a Hugging Face hub says about a repository: which commit a revision is, which files it has with sizes and
// hashes, and where a file's bytes are. Small answers, tried again when the network or the server fails. One thread.
//
// Everything an answer says is checked before it is used: names of files, hashes, sizes and commits come from outside.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/http.h"

namespace bantam::hub {

struct HubOptions {
  std::string endpoint = "https://huggingface.co";
  HttpOptions http;  // token_origin is set from the endpoint
  int retries = 6;
  double backoff_s = 0.5;
  int connections = 4;                     // ranges of one file at once
  int64_t block_bytes = int64_t{8} << 20;  // what is kept when a download is cut
  std::function<bool()> keep_going;        // asked often; false ends with kCancelled. Null: always
  std::function<void(const std::string&)>
      on_trouble;  // a failure that will be tried again, for who watches. Null: nobody
};

struct RemoteFile {
  std::string path;
  int64_t bytes = 0;
  std::string hash;  // SHA-256 of a large file, git's blob SHA-1 of a small one; also the cache's name for it
};

struct RemoteRepo {
  std::string commit;
  std::vector<RemoteFile> files;
};

struct RemoteLocation {
  std::string url;   // where the bytes are; may expire
  std::string hash;  // as the hub names the contents now; "" when it does not say
  int64_t bytes = -1;
};

class HubClient {
 public:
  explicit HubClient(HubOptions options);

  Result<RemoteRepo> list(const std::string& repo, const std::string& revision);
  Result<RemoteLocation> locate(const std::string& repo, const std::string& commit, const std::string& path);

  const HubOptions& options() const { return options_; }
  HttpSession& session() { return session_; }
  bool going_on() const { return !options_.keep_going || options_.keep_going(); }
  // Lets the session work, or nothing happen, for so long. kCancelled when the user wishes.
  Status wait(double seconds);

 private:
  Result<HttpSession::Answer> ask(const HttpRequest& request, const std::string& what);

  HubOptions options_;
  HttpSession session_;
};

// An ETag as it is in a header, its quotes and the mark of a weak one taken off.
std::string plain_etag(std::string_view text);
// Whether an answer of this status may be another one later.
bool is_passing(long status);
// The error an answer means: kFailed, naming `what`, the status, and what to do about it.
Status answer_error(const HttpResponse& response, const std::string& what, bool with_token);

}  // namespace bantam::hub
