// /slots: the keys and values of conversations, kept in files and restored without reading the prompt again. Only where
// `serve --slots DIR` names a folder; a request names a slot, never a path.
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "server/api.h"
#include "server/request_fields.h"

namespace bantam::server {
namespace {

constexpr std::string_view kEnding = ".kv";
constexpr size_t kMostName = 64;

JsonValue text_value(std::string_view text) {
  return JsonValue::string(std::string(text));
}

// Letters, digits, '-', '_' and '.', not beginning with '.': no way out of the folder.
bool is_slot_name(std::string_view name) {
  const auto fine = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  };
  return !name.empty() && name.size() <= kMostName && name[0] != '.' && std::all_of(name.begin(), name.end(), fine);
}

// The owner is part of the file's name: nobody restores or removes what another key saved.
std::string slot_path(const Api& api, const std::string& owner, std::string_view name) {
  return fmt::format("{}/{}.{}{}", api.slots_folder, owner.empty() ? "open" : owner, name, kEnding);
}

void list_slots(Api& api, const HttpRequest& request, const ResponderPtr& responder) {
  JsonValue slots = JsonValue::array();
  const std::string prefix = (request.owner.empty() ? "open" : request.owner) + ".";
  if (DIR* folder = ::opendir(api.slots_folder.c_str()); folder != nullptr) {
    while (const dirent* entry = ::readdir(folder)) {
      const std::string_view name = entry->d_name;
      struct stat info {};
      if (!name.starts_with(prefix) || !name.ends_with(kEnding) ||
          ::fstatat(::dirfd(folder), entry->d_name, &info, 0) != 0) {
        continue;
      }
      const auto slot = name.substr(prefix.size(), name.size() - prefix.size() - kEnding.size());
      slots.items().push_back(JsonValue::object({{"name", text_value(slot)},
                                                 {"bytes", JsonValue::number(static_cast<int64_t>(info.st_size))},
                                                 {"saved", JsonValue::number(static_cast<int64_t>(info.st_mtime))}}));
    }
    ::closedir(folder);
  }
  responder->reply({.body = to_json(JsonValue::object({{"slots", std::move(slots)}})), .headers = {}});
}

void remove_slot(Api& api, const HttpRequest& request, const ResponderPtr& responder) {
  if (!is_slot_name(request.tail) || ::unlink(slot_path(api, request.owner, request.tail).c_str()) != 0) {
    return responder->reply(error_reply(404, "no such slot; GET /slots lists them", "not_found"));
  }
  responder->reply({.body = R"({"removed":true})", .headers = {}});
}

// {"name", "messages" and what else a chat has}: computes what is missing first. {"name"}: restores.
void use_slot(Api& api, const std::shared_ptr<Api::Received>& received, const ResponderPtr& responder, bool save) {
  Fields fields(received->body);
  std::string name;
  if (Status status = fields.string("name", &name); !status.ok()) return responder->reply(error_reply(status));
  if (!is_slot_name(name)) {
    return responder->reply(error_reply(
        bad_input("name: expected 1 to {} letters, digits, '-', '_' or '.', not beginning with '.'", kMostName)));
  }
  const std::string path = slot_path(api, received->request.owner, name);
  std::vector<int32_t> ids;
  if (save) {
    auto chat = parse_chat_request(received->body);
    if (!chat.ok()) return responder->reply(error_reply(chat.status()));
    auto prepared = prepare(*chat, api.served(*received));
    if (!prepared.ok()) return responder->reply(error_reply(prepared.status()));
    ids = std::move(prepared->ids);
  }
  auto result = std::make_shared<Result<int64_t>>(Status());
  api.host.on_engine(
      received->model,
      [=, owner = received->request.owner](engine::BatchGenerator& batch) {
        *result = save ? batch.save_prefix(owner, ids, path) : batch.restore_prefix(owner, path);
      },
      [=] {
        if (!result->ok())
          return responder->reply(error_reply(std::move(*result).status().with_context("slot " + name)));
        responder->reply({.body = to_json(JsonValue::object(
                              {{"name", text_value(name)},
                               {save ? "saved_tokens" : "restored_tokens", JsonValue::number(**result)}})),
                          .headers = {}});
      });
}

}  // namespace

void add_slot_routes(Router& router, Api& api) {
  const auto post = [&](const char* path, const char* summary, const char* body, bool save) {
    router.add({.method = "POST",
                .path = path,
                .summary = summary,
                .handler =
                    [&api, save](HttpRequest request, const ResponderPtr& responder) {
                      api.receive(std::move(request), responder, error_reply,
                                  [&api, responder, save](std::shared_ptr<Api::Received> received) {
                                    use_slot(api, received, responder, save);
                                  });
                    },
                .body = body,
                .tag = "bantam"});
  };
  post("/slots/save", "keep a conversation's keys and values in a file",
       R"({"name":"talk-1","messages":[{"role":"user","content":"Hello"}]})", true);
  post("/slots/restore", "remember a kept conversation again", R"({"name":"talk-1"})", false);
  router.add({.method = "GET",
              .path = "/slots",
              .summary = "the kept conversations",
              .handler = [&api](HttpRequest request, const ResponderPtr& r) { list_slots(api, request, r); },
              .body = "",
              .tag = "bantam"});
  router.add({.method = "DELETE",
              .path = "/slots/{name}",
              .summary = "remove a kept conversation",
              .handler = [&api](HttpRequest request, const ResponderPtr& r) { remove_slot(api, request, r); },
              .body = "",
              .tag = "bantam"});
}

}  // namespace bantam::server
