// Fetches one file of a repository into its PartialFile: several ranges at once, each tried again from the byte where
// it was cut. Called by pull, in one thread, under the blob's lock.
//
// Nothing a server does makes a wrong file: every byte passes the hash of the whole before the file gets its name. What
// is answered here is how to get there: cuts, stalls, refusals, servers that send everything for a range, addresses
// that expire, contents that change.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "hub/hub_client.h"
#include "hub/partial_file.h"
#include "hub/retry.h"

namespace bantam::hub {

enum class BlobEnd : uint8_t {
  kDone,
  kChanged,  // the server has other contents now: ask for the list of files again
};

// Hears how many bytes of a file are here; while those of an earlier run are read back, `read_back` is true.
using BytesHere = std::function<void(int64_t bytes, bool read_back)>;

// Downloads `spec` (the file spec.name of repo at commit).
Result<BlobEnd> download_blob(HubClient& client, const std::string& repo, const std::string& commit,
                              const BlobSpec& spec, const BytesHere& on_bytes);

class BlobDownload {
 public:
  BlobDownload(HubClient& client, std::string repo, std::string commit, const BlobSpec& spec, PartialFile& file,
               BytesHere on_bytes);
  ~BlobDownload();
  // Until every block is in the file, whatever its hash.
  Result<BlobEnd> run();

 private:
  class Range;
  Status locate();
  void start_ranges();
  std::unique_ptr<Range> next_range();
  bool is_taken(int64_t block) const;
  void ended(Range& range, const HttpEnd& end);
  void failed_once(const std::string& trouble, double retry_after_s);
  bool accepts_etag(const HttpResponse& response);
  int64_t bytes_here() const;
  Status pause();

  HubClient& client_;
  std::string repo_, commit_;
  const BlobSpec& spec_;
  PartialFile& file_;
  BytesHere on_bytes_;
  Retry retry_;
  std::string url_;                                       // where the bytes are; empty: to be asked for
  std::vector<std::unique_ptr<Range>> ranges_;            // under way
  std::map<int64_t, std::vector<std::byte>> beginnings_;  // of blocks whose range was cut
  bool whole_only_ = false;                               // the server does not do ranges
  bool changed_ = false;
  Status fatal_;
  int64_t fresh_bytes_ = 0;  // since the last failure
  Stopwatch since_failure_;
  double pause_s_ = 0;
};

}  // namespace bantam::hub
