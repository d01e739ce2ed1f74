// /api/version, /api/tags, /api/ps, /api/show, /api/chat, /api/generate.
#include <array>

#include "base/hash.h"
#include "server/json_values.h"
#include "server/ollama.h"

namespace bantam::server {
namespace {

// The release of Ollama whose API this is a part of: clients look at it to see what they may send (0.9: `think`).
constexpr std::string_view kLevel = "0.9.0";

// 64 hex digits, as clients expect them; a name's, since nobody has read the weights for it.
std::string digest_of(const std::string& id) {
  std::string out;
  for (uint64_t part = 0; part < 4; ++part) {
    Fingerprint print;
    print.add(part);
    print.add(id);
    out += fmt::format("{:016x}", print.value());
  }
  return out;
}

JsonValue details_of(const ModelHost::ModelState& state) {
  const std::string family = state.face != nullptr ? state.face->info.family : "";
  const std::string type = state.face != nullptr ? state.face->info.weight_type : "";
  return JsonValue::object({{"parent_model", text_value("")},
                            {"format", text_value("gguf")},
                            {"family", text_value(family)},
                            {"families", list_value({text_value(family)})},
                            {"parameter_size", text_value("")},
                            {"quantization_level", text_value(type)}});
}

std::string modified_at(const ModelHost::ModelState& state) {
  const int64_t seconds = state.face != nullptr ? state.face->created_s : 0;
  return rfc3339(std::chrono::system_clock::time_point(std::chrono::seconds(seconds)));
}

JsonValue listed(const ModelHost::ModelState& state) {
  return JsonValue::object({{"name", text_value(state.id)},
                            {"model", text_value(state.id)},
                            {"modified_at", JsonValue::string(modified_at(state))},
                            {"size", count_value(state.bytes)},
                            {"digest", JsonValue::string(digest_of(state.id))},
                            {"details", details_of(state)}});
}

JsonValue models(const Api& api, bool loaded_only) {
  JsonValue list = JsonValue::array();
  for (const auto& state : api.host.models()) {
    if (loaded_only && state.face == nullptr) continue;
    JsonValue one = listed(state);
    if (loaded_only) {
      one.set("expires_at", text_value("9999-12-31T23:59:59Z"));
      one.set("size_vram", count_value(0));
      one.set("context_length", count_value(state.face->info.context_tok));
    }
    list.items().push_back(std::move(one));
  }
  return JsonValue::object({{"models", std::move(list)}});
}

std::string parameters_text(const ModelFace& face) {
  const bool hybrid = text::is_hybrid(face.template_kind), thinks = engine::will_think(face.template_kind, {});
  const SamplingOptions s = engine::resolve_sampling({.seed = 0}, face.info, thinks, hybrid);
  return fmt::format("temperature {}\ntop_k {}\ntop_p {}\nmin_p {}\nrepeat_penalty {}\n", s.temperature, s.top_k,
                     s.top_p, s.min_p, s.repetition_penalty);
}

JsonValue shown(const ModelHost::ModelState& state) {
  const ModelFace& face = *state.face;
  const std::string& family = face.info.family;
  JsonValue capabilities = list_value({text_value("completion"), text_value("tools")});
  if (engine::will_think(face.template_kind, {})) capabilities.items().push_back(text_value("thinking"));
  return JsonValue::object(
      {{"license", text_value("")},
       {"modelfile", text_value("")},
       {"parameters", JsonValue::string(parameters_text(face))},
       {"template", text_value(face.tokenizer->chat_template())},
       {"details", details_of(state)},
       {"model_info", JsonValue::object({{"general.architecture", text_value(family)},
                                         {"general.basename", text_value(face.info.name)},
                                         {family + ".block_count", count_value(face.info.layers)},
                                         {family + ".context_length", count_value(face.info.context_tok)},
                                         {family + ".embedding_length", count_value(face.info.hidden)}})},
       {"capabilities", std::move(capabilities)},
       {"modified_at", JsonValue::string(modified_at(state))}});
}

// A body with "name" for the model, as older clients send it.
void show(Api& api, HttpRequest request, const ResponderPtr& responder) {
  api.receive(std::move(request), responder, ollama_error,
              [&api, responder](const std::shared_ptr<Api::Received>& received) {
                const std::string name = string_at(received->body, "name");
                const bool by_name = received->body.find("model") == nullptr && !name.empty();
                api.host.with_model(by_name ? name : received->model->id, [&api, responder](Result<ModelLease> model) {
                  if (!model.ok()) return responder->reply(ollama_error(404, model.status().message(), ""));
                  for (const auto& state : api.host.models()) {
                    if (state.face != *model) continue;
                    return responder->reply({.body = to_json(shown(state)), .headers = {}});
                  }
                });
              });
}

// No messages or no prompt: the client wants the model to be loaded, which it is by now.
template <OllamaWriter::Form form>
std::optional<JsonValue> only_load(const Api::Received& received) {
  const bool chat = form == OllamaWriter::Form::kChat;
  const JsonValue* given = received.body.find(chat ? "messages" : "prompt");
  const bool empty = given == nullptr || given->is_null() || (chat && given->is_array() && given->items().empty()) ||
                     (!chat && given->is_string() && given->as_string().empty());
  if (!empty) return std::nullopt;
  JsonValue out = JsonValue::object({{"model", text_value(received.model->id)},
                                     {"created_at", JsonValue::string(rfc3339(std::chrono::system_clock::now()))}});
  if (chat) {
    out.set("message", JsonValue::object({{"role", text_value("assistant")}, {"content", text_value("")}}));
  } else {
    out.set("response", text_value(""));
  }
  out.set("done", JsonValue::boolean(true));
  out.set("done_reason", text_value("load"));
  return out;
}

template <OllamaWriter::Form form>
ConversationRoute route_of() {
  return {.words = ollama_error,
          .parse = form == OllamaWriter::Form::kChat ? parse_ollama_chat : parse_ollama_generate,
          .writer = [](Api&, const Api::Received& received, const ChatRequest&) -> std::unique_ptr<AnswerWriter> {
            return std::make_unique<OllamaWriter>(form, received.model->id, received.since);
          },
          .loaded = only_load<form>};
}

}  // namespace

void add_ollama_routes(Router& router, Api& api) {
  const auto add = [&](std::string method, std::string path, std::string summary, Handler handler, std::string body) {
    router.add({.method = std::move(method),
                .path = std::move(path),
                .summary = std::move(summary),
                .handler = std::move(handler),
                .body = std::move(body),
                .tag = "ollama",
                .words = ollama_error});
  };
  const auto get = [&](std::string path, std::string summary, std::function<JsonValue()> value) {
    add(
        "GET", std::move(path), std::move(summary),
        [value](HttpRequest, const ResponderPtr& responder) {
          responder->reply({.body = to_json(value()), .headers = {}});
        },
        "");
  };
  get("/api/version", "the level of Ollama's API, and this program's version", [&api] {
    return JsonValue::object({{"version", text_value(kLevel)}, {"bantam", text_value(api.version)}});
  });
  get("/api/tags", "the models of this server", [&api] { return models(api, false); });
  get("/api/ps", "the loaded models", [&api] { return models(api, true); });
  add(
      "POST", "/api/show", "one model",
      [&api](HttpRequest request, const ResponderPtr& responder) { show(api, std::move(request), responder); },
      R"({"model":"bantam-nano"})");
  add("POST", "/api/chat", "answer a conversation", conversation_handler(api, route_of<OllamaWriter::Form::kChat>()),
      R"({"model":"bantam-nano","messages":[{"role":"user","content":"Hello"}]})");
  add("POST", "/api/generate", "answer a prompt", conversation_handler(api, route_of<OllamaWriter::Form::kGenerate>()),
      R"({"model":"bantam-nano","prompt":"Hello"})");
}

}  // namespace bantam::server
