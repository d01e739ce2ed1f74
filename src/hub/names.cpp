// See names.h.
#include "hub/names.h"

#include <algorithm>
#include <sstream>

#include "base/edit_distance.h"
#include "embedded/model_names.h"

namespace bantam::hub {
namespace {

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_word(std::string_view text, std::string_view more) {
  return !text.empty() && text.size() <= 96 && is_letter_or_digit(text[0]) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_letter_or_digit(c) || more.find(c) != more.npos; });
}

std::vector<FriendlyName> read_table() {
  std::vector<FriendlyName> out;
  for (const auto& [file, text] : model_names()) {
    std::istringstream lines{std::string(text)};
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line.substr(0, line.find('#')));
      FriendlyName row;
      if (words >> row.name >> row.repo >> row.quant) {
        if (row.quant == "-") row.quant.clear();
        out.push_back(row);
      }
    }
  }
  return out;
}

// The names nearest to `text`, at most three, the nearest first.
std::string suggestions(std::string_view text) {
  std::vector<std::pair<size_t, std::string>> near;
  for (const FriendlyName& row : friendly_names()) {
    const size_t distance = edit_distance(lower(text), row.name);
    if (distance <= 3 || (text.size() >= 4 && row.name.starts_with(lower(text)))) near.emplace_back(distance, row.name);
  }
  std::sort(near.begin(), near.end());
  if (near.empty()) return "; names are such as qwen3:4b, qwen3:4b-instruct-2507 or ORG/REPO:Q4_K_M";
  std::string out = ", did you mean ";
  for (size_t i = 0; i < std::min<size_t>(near.size(), 3); ++i) {
    out += fmt::format("{}{}", i > 0 ? " or " : "", near[i].second);
  }
  return out + "?";
}

// The row that `text` is, or begins with before ":QUANT".
const FriendlyName* find_friendly(std::string_view text, std::string_view* rest) {
  const FriendlyName* best = nullptr;
  for (const FriendlyName& row : friendly_names()) {
    if (!text.starts_with(row.name) || (best != nullptr && row.name.size() <= best->name.size())) continue;
    if (text.size() > row.name.size() && text[row.name.size()] != ':' && text[row.name.size()] != '@') continue;
    best = &row;
  }
  if (best != nullptr) *rest = text.substr(best->name.size());
  return best;
}

// Of an address pasted from a browser, the part that names the repository.
std::string_view without_host(std::string_view text) {
  const size_t before = text.size();
  for (const std::string_view scheme : {"https://", "hf://"}) {
    if (text.starts_with(scheme)) text.remove_prefix(scheme.size());
  }
  for (const std::string_view host : {"huggingface.co/", "hf.co/"}) {
    if (text.starts_with(host)) text.remove_prefix(host.size());
  }
  if (text.size() < before && text.ends_with('/')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

bool is_weight_type(std::string_view text) {
  std::string small = lower(text);
  if (small.starts_with("ud-")) small.erase(0, 3);
  if (small == "f32" || small == "f16" || small == "fp16" || small == "bf16" || small == "fp32") return true;
  if (small.size() > 20 || !is_word(small, "_")) return false;
  for (const std::string_view start : {"q", "iq", "tq", "bq", "mxfp"}) {
    if (!small.starts_with(start) || small.size() == start.size()) continue;
    const char next = small[start.size()];
    if (next >= '0' && next <= '9') return true;
  }
  return false;
}

const std::vector<FriendlyName>& friendly_names() {
  static const std::vector<FriendlyName> rows = read_table();
  return rows;
}

bool is_repo(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == text.npos || text.find("--") != text.npos || text.find("..") != text.npos) return false;
  return is_word(text.substr(0, slash), "-_.") && is_word(text.substr(slash + 1), "-_.") && !text.ends_with(".git") &&
         !text.ends_with('.') && !text.ends_with('-');
}

bool is_revision(std::string_view text) {
  return text.size() <= 200 && is_safe_path(text) && text.front() != '-' && text.find(':') == text.npos;
}

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > 1024) return false;
  size_t begin = 0;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part.size() > 255 || part == "." || part == "..") return false;
    for (const char c : part) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x20 || byte == 0x7F || c == '\\') return false;
    }
    begin = end + 1;
  }
  return true;
}

Result<ModelName> parse_model_name(std::string_view text) {
  ModelName out;
  out.text = std::string(text);
  const std::string_view bare = without_host(text);
  std::string_view rest;
  const std::string small = lower(bare);
  if (const FriendlyName* row = find_friendly(small, &rest)) {
    out.repo = row->repo;
    out.quant = row->quant;
    rest = bare.substr(bare.size() - rest.size());
  } else {
    const size_t end = std::min(bare.find_first_of("@:"), bare.size());
    out.repo = std::string(bare.substr(0, end));
    rest = bare.substr(end);
    if (!is_repo(out.repo)) return usage_error("no model is called {:?}{}", text, suggestions(bare));
  }
  if (rest.starts_with('@')) {
    const size_t end = std::min(rest.find(':'), rest.size());
    out.revision = std::string(rest.substr(1, end - 1));
    rest.remove_prefix(end);
    if (!is_revision(out.revision)) {
      return usage_error("{:?}: expected a branch, tag or commit after '@', got {:?}", text, out.revision);
    }
  }
  if (rest.empty()) return out;
  if (!rest.starts_with(':') || !is_weight_type(rest.substr(1))) {
    return usage_error("no model is called {:?}: expected a type of weights such as :Q4_K_M, got {:?}{}", text, rest,
                       bare.find('/') == bare.npos ? suggestions(bare) : "");
  }
  out.quant = std::string(rest.substr(1));
  out.quant_is_wish = true;
  return out;
}

}  // namespace bantam::hub
