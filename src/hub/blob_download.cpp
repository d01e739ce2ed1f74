// See blob_download.h.
#include "hub/blob_download.h"

#include <algorithm>

#include "base/check.h"
#include "hub/content_hash.h"

namespace bantam::hub {
namespace {

constexpr int64_t kBlocksPerRange = 8;
constexpr int kHashAttempts = 3;

// "bytes 100-199/1000" -> first byte and size of the whole; false when it is not that.
bool parse_content_range(std::string_view text, int64_t* first, int64_t* last, int64_t* size) {
  long long a = 0, b = 0, n = 0;
  int used = 0;
  const std::string copy(text.substr(0, 100));
  if (std::sscanf(copy.c_str(), "bytes %15lld-%15lld/%15lld%n", &a, &b, &n, &used) != 3) return false;
  *first = a;
  *last = b;
  *size = n;
  return static_cast<size_t>(used) == copy.size() && a >= 0 && b >= a && n > b;
}

// Whether an ETag says that the contents are others. One of the other kind (git's hash of a large file's pointer) says
// nothing, nor does what is no hash.
bool is_other_hash(std::string_view etag, std::string_view hash) {
  return is_content_hash(etag) && etag.size() == hash.size() && etag != hash;
}

}  // namespace

// Consecutive blocks from one request. Bytes collect in `buffer_` until a block is whole.
class BlobDownload::Range final : public HttpHandler {
 public:
  Range(BlobDownload& owner, int64_t first, int64_t end, std::vector<std::byte> buffer)
      : owner_(owner), block_(first), end_(end), buffer_(std::move(buffer)) {}

  int64_t block() const { return block_; }
  int64_t end() const { return end_; }
  bool finished() const { return block_ == end_; }
  size_t buffered() const { return buffer_.size(); }
  std::vector<std::byte> take_buffer() { return std::move(buffer_); }
  const std::string& refusal() const { return refusal_; }

  HttpRequest request(const std::string& url) const {
    HttpRequest out;
    out.url = url;
    const int64_t last = std::min(end_ * owner_.file_.block_bytes(), owner_.spec_.bytes) - 1;
    // The first bytes of a whole file are asked for without a range, which every server understands.
    if (owner_.whole_only_ || (position() == 0 && last + 1 == owner_.spec_.bytes)) return out;
    out.range = {position(), last};
    return out;
  }

  bool on_head(const HttpResponse& response) override {
    const std::string_view encoding = response.header("content-encoding");
    if (!encoding.empty() && encoding != "identity") return refuse("the answer is encoded, which was not asked for");
    if (response.status != 200 && response.status != 206) return false;  // ended() sees the status
    if (!owner_.accepts_etag(response)) return false;
    if (response.status == 206) {
      int64_t first = 0, last = 0, size = 0;
      if (!parse_content_range(response.header("content-range"), &first, &last, &size) || first != position()) {
        return refuse("another range than the one that was asked for");
      }
      return size == owner_.spec_.bytes ||
             refuse(fmt::format("expected a file of {} bytes, got one of {}", owner_.spec_.bytes, size));
    }
    return take_whole(response);
  }

  bool on_bytes(std::span<const std::byte> bytes) override {
    const size_t dropped = std::min(skip_, bytes.size());
    skip_ -= dropped;
    bytes = bytes.subspan(dropped);
    while (!bytes.empty()) {
      if (finished()) return refuse("more bytes than were asked for");
      const auto wanted = static_cast<size_t>(owner_.file_.size_of(block_)) - buffer_.size();
      const size_t taken = std::min(wanted, bytes.size());
      buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(taken));
      bytes = bytes.subspan(taken);
      owner_.fresh_bytes_ += static_cast<int64_t>(taken);
      if (taken < wanted) continue;
      Status written = owner_.file_.write(block_, buffer_);
      if (!written.ok()) {
        owner_.fatal_ = std::move(written);
        return false;
      }
      buffer_.clear();
      ++block_;
    }
    return true;
  }

  void on_end(const HttpEnd& end) override { owner_.ended(*this, end); }

 private:
  int64_t position() const { return block_ * owner_.file_.block_bytes() + static_cast<int64_t>(buffer_.size()); }

  bool refuse(std::string why) {
    refusal_ = std::move(why);
    return false;
  }

  // The server sends the file from its beginning: this one transfer takes it all.
  bool take_whole(const HttpResponse& response) {
    const std::string_view length = response.header("content-length");
    if (!length.empty() && length != fmt::format("{}", owner_.spec_.bytes)) {
      return refuse(fmt::format("expected {} bytes, got {}", owner_.spec_.bytes, length.substr(0, 20)));
    }
    const bool whole = position() == 0 && end_ == owner_.file_.blocks();
    if (whole) return true;
    if (owner_.whole_only_ && owner_.ranges_.size() > 1) return refuse("");  // another one is taking it
    owner_.whole_only_ = true;
    skip_ = static_cast<size_t>(position());
    end_ = owner_.file_.blocks();
    return true;
  }

  BlobDownload& owner_;
  int64_t block_, end_;
  std::vector<std::byte> buffer_;
  size_t skip_ = 0;  // bytes to drop: they are here already
  std::string refusal_;
};

BlobDownload::BlobDownload(HubClient& client, std::string repo, std::string commit, const BlobSpec& spec,
                           PartialFile& file, BytesHere on_bytes)
    : client_(client),
      repo_(std::move(repo)),
      commit_(std::move(commit)),
      spec_(spec),
      file_(file),
      on_bytes_(std::move(on_bytes)),
      retry_(client.options().retries, client.options().backoff_s) {}

BlobDownload::~BlobDownload() {
  for (const auto& range : ranges_) client_.session().cancel(range.get());
}

int64_t BlobDownload::bytes_here() const {
  int64_t out = file_.bytes_done();
  for (const auto& range : ranges_) out += static_cast<int64_t>(range->buffered());
  for (const auto& [block, bytes] : beginnings_) out += static_cast<int64_t>(bytes.size());
  return out;
}

Status BlobDownload::locate() {
  BANTAM_TRY_ASSIGN(const RemoteLocation at, client_.locate(repo_, commit_, spec_.name));
  const bool other_hash = is_other_hash(at.hash, spec_.hash);
  if (other_hash || (at.bytes >= 0 && at.bytes != spec_.bytes)) {
    changed_ = true;
    return {};
  }
  url_ = at.url;
  return {};
}

// At the hub itself an ETag names the contents. Elsewhere it is the other server's own, and the hash of the whole
// judges.
bool BlobDownload::accepts_etag(const HttpResponse& response) {
  const auto origin = url_origin(response.url), hub = url_origin(client_.options().endpoint);
  if (!origin.ok() || !hub.ok() || *origin != *hub) return true;
  const std::string etag = plain_etag(response.header("etag"));
  changed_ |= is_other_hash(etag, spec_.hash);
  return !changed_;
}

bool BlobDownload::is_taken(int64_t block) const {
  return file_.has(block) || std::any_of(ranges_.begin(), ranges_.end(), [&](const auto& range) {
           return block >= range->block() && block < range->end();
         });
}

// The first blocks that are neither here nor under way; null when there are none.
std::unique_ptr<BlobDownload::Range> BlobDownload::next_range() {
  int64_t first = 0;
  while (first < file_.blocks() && is_taken(first)) ++first;
  if (first == file_.blocks()) return nullptr;
  const int64_t share = (file_.blocks() - first + client_.options().connections - 1) / client_.options().connections;
  int64_t most = std::min(kBlocksPerRange, share);
  if (whole_only_) most = file_.blocks();
  int64_t end = first + 1;
  while (end < file_.blocks() && end - first < most && (whole_only_ || !is_taken(end))) ++end;
  std::vector<std::byte> buffer;
  if (const auto at = beginnings_.find(first); at != beginnings_.end()) {
    buffer = std::move(at->second);
    beginnings_.erase(at);
  }
  return std::make_unique<Range>(*this, first, end, std::move(buffer));
}

void BlobDownload::start_ranges() {
  const size_t most = whole_only_ ? 1 : static_cast<size_t>(std::max(1, client_.options().connections));
  while (ranges_.size() < most) {
    auto range = next_range();
    if (range == nullptr) return;
    client_.session().start(range->request(url_), range.get());
    ranges_.push_back(std::move(range));
  }
}

void BlobDownload::failed_once(const std::string& trouble, double retry_after_s) {
  // Ranges that fail together are one failure.
  if (pause_s_ > 0) return;
  const int64_t much = std::max<int64_t>(1, std::min(file_.block_bytes(), spec_.bytes) / 32);
  if (fresh_bytes_ >= much) retry_.progress();
  fresh_bytes_ = 0;
  const std::string text = fmt::format("{}: {}", spec_.name, trouble);
  const auto wait = retry_.next(retry_after_s);
  if (!wait) {
    fatal_ = failed("{} (given up after {} tries; what came is kept, the same command goes on)", text,
                    retry_.failures() + 1);
    return;
  }
  pause_s_ = std::max(*wait, 1e-3);
  since_failure_ = Stopwatch();
  if (client_.options().on_trouble) client_.options().on_trouble(fmt::format("{}; again in {:.1f} s", text, *wait));
}

void BlobDownload::ended(Range& range, const HttpEnd& end) {
  const auto at = std::find_if(ranges_.begin(), ranges_.end(), [&](const auto& r) { return r.get() == &range; });
  BANTAM_CHECK(at != ranges_.end());
  const std::unique_ptr<Range> gone = std::move(*at);
  ranges_.erase(at);
  if (gone->finished() || !fatal_.ok() || changed_) return;
  if (gone->buffered() > 0) beginnings_[gone->block()] = gone->take_buffer();
  const HttpResponse& response = end.response;
  const bool good = response.status == 200 || response.status == 206;
  if (!gone->refusal().empty()) return failed_once(gone->refusal(), 0);
  if (good && !end.trouble.empty()) return failed_once(end.trouble, 0);
  if (good) return end.complete ? failed_once("the connection was cut", 0) : void();
  if (response.status == 0 || !end.trouble.empty()) return failed_once(end.trouble, end.retry_after_s);
  const auto origin = url_origin(response.url), hub = url_origin(client_.options().endpoint);
  const bool foreign = origin.ok() && hub.ok() && *origin != *hub;
  url_.clear();  // addresses expire; the next one is asked for
  if (!foreign && !is_passing(response.status)) {
    fatal_ = answer_error(response, repo_ + "/" + spec_.name, !client_.options().http.token.empty());
    return;
  }
  failed_once(fmt::format("status {} from {}", response.status, printable_url(response.url)), end.retry_after_s);
}

Status BlobDownload::pause() {
  const double left_s = pause_s_ - since_failure_.elapsed_ms() / 1000;
  if (left_s <= 0) {
    pause_s_ = 0;
    return {};
  }
  return client_.wait(std::min(left_s, 0.1));
}

Result<BlobEnd> BlobDownload::run() {
  while (!file_.complete()) {
    if (!client_.going_on()) return make_error(ErrorCode::kCancelled, "interrupted");
    if (!fatal_.ok()) return fatal_;
    if (changed_) return BlobEnd::kChanged;
    on_bytes_(bytes_here(), false);
    if (whole_only_ && ranges_.size() > 1) {
      // One answer brings everything; the others would bring it again.
      const auto keep = std::max_element(ranges_.begin(), ranges_.end(), [](const auto& a, const auto& b) {
        return a->end() - a->block() < b->end() - b->block();
      });
      std::iter_swap(ranges_.begin(), keep);
      for (size_t i = 1; i < ranges_.size(); ++i) client_.session().cancel(ranges_[i].get());
      ranges_.resize(1);
    }
    if (pause_s_ > 0) {
      BANTAM_TRY(pause());
      continue;
    }
    if (url_.empty()) {
      BANTAM_TRY(locate());
      if (changed_) continue;
    }
    start_ranges();
    client_.session().poll(100);
  }
  if (!fatal_.ok()) return fatal_;
  on_bytes_(bytes_here(), false);
  return BlobEnd::kDone;
}

Result<BlobEnd> download_blob(HubClient& client, const std::string& repo, const std::string& commit,
                              const BlobSpec& spec, const BytesHere& on_bytes) {
  BANTAM_TRY_ASSIGN(const auto file, PartialFile::open(spec, client.options().block_bytes, [&](int64_t bytes) {
                      on_bytes(bytes, true);
                      return client.going_on();
                    }));
  for (int attempt = 1;; ++attempt) {
    BlobDownload download(client, repo, commit, spec, *file, on_bytes);
    BANTAM_TRY_ASSIGN(const BlobEnd end, download.run());
    if (end == BlobEnd::kChanged) return end;
    BANTAM_TRY_ASSIGN(const bool right, file->finish());
    if (right) return BlobEnd::kDone;
    const std::string text = fmt::format("{}: the {} of what came is {}, expected {}", spec.name, hash_kind(spec.hash),
                                         file->actual_hash(), spec.hash);
    BANTAM_TRY(file->restart());
    if (attempt == kHashAttempts) return failed("{} ({} times); nothing of it is kept", text, attempt);
    if (client.options().on_trouble) client.options().on_trouble(text + "; once more from the beginning");
  }
}

}  // namespace bantam::hub
