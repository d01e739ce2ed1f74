// What is loaded and how it goes: /health, /metrics, /v1/models, /openapi.json.
#include "server/api.h"
#include "server/json_values.h"
#include "server/openai_response.h"

namespace bantam::server {
namespace {

JsonValue sampling_value(const ModelFace& face, bool thinking) {
  const SamplingOptions s =
      engine::resolve_sampling({.seed = 0}, face.info, thinking, text::is_hybrid(face.template_kind));
  const auto real = [](double v) { return JsonValue::number(json_number(v)); };
  return JsonValue::object({{"temperature", real(s.temperature)},
                            {"top_p", real(s.top_p)},
                            {"top_k", count_value(s.top_k)},
                            {"min_p", real(s.min_p)},
                            {"presence_penalty", real(s.presence_penalty)},
                            {"repetition_penalty", real(s.repetition_penalty)}});
}

JsonValue meta_of(const ModelHost::ModelState& state) {
  JsonValue meta = JsonValue::object({{"state", text_value(state.state)},
                                      {"loaded", JsonValue::boolean(state.face != nullptr)},
                                      {"house", JsonValue::boolean(state.house)},
                                      {"bytes", count_value(state.bytes)}});
  if (!state.error.empty()) meta.set("error", text_value(state.error));
  if (state.face == nullptr) return meta;
  const ModelFace& face = *state.face;
  const bool hybrid = text::is_hybrid(face.template_kind);
  meta.set("name", text_value(face.info.name));
  meta.set("context", count_value(face.info.context_tok));
  meta.set("trained_context", count_value(face.info.trained_context_tok));
  meta.set("type", text_value(face.info.weight_type));
  meta.set("template", text_value(text::template_name(face.template_kind)));
  meta.set("thinking", text_value(hybrid ? "hybrid" : engine::will_think(face.template_kind, {}) ? "always" : "never"));
  meta.set("vocab", count_value(face.info.vocab_rows));
  meta.set("sampling",
           JsonValue::object({{"thinking", sampling_value(face, true)}, {"plain", sampling_value(face, false)}}));
  return meta;
}

JsonValue model_value(const ModelHost::ModelState& state) {
  JsonValue out = JsonValue::object({{"id", text_value(state.id)},
                                     {"object", text_value("model")},
                                     {"created", count_value(state.face != nullptr ? state.face->created_s : 0)},
                                     {"owned_by", text_value("bantam")}});
  if (state.face != nullptr) out.set("max_model_len", count_value(state.face->info.context_tok));
  out.set("meta", meta_of(state));
  return out;
}

void list_models(Api& api, const ResponderPtr& responder) {
  JsonValue data = JsonValue::array();
  for (const auto& state : api.host.models()) data.items().push_back(model_value(state));
  responder->reply(
      {.body = to_json(JsonValue::object({{"object", text_value("list")}, {"data", std::move(data)}})), .headers = {}});
}

void show_model(Api& api, const HttpRequest& request, const ResponderPtr& responder) {
  for (const auto& state : api.host.models()) {
    if (state.id == request.tail) return responder->reply({.body = to_json(model_value(state)), .headers = {}});
  }
  responder->reply(error_reply(404, "no such model; GET /v1/models lists them", "model_not_found"));
}

// 200 when requests are taken, 503 while the first model loads, when it failed, and while the server drains.
void health(Api& api, const ResponderPtr& responder) {
  const auto states = api.host.models();
  const bool draining = api.draining();
  const std::string first = states.front().state;
  const bool fine = !draining && (states.size() > 1 || (first != "loading" && first != "failed"));
  const std::string status = draining ? "draining" : fine ? "ok" : first;
  const auto counts = api.host.counts();
  const JsonValue body = JsonValue::object({{"status", text_value(status)},
                                            {"answers_open", count_value(api.host.answers_open())},
                                            {"answers_limit", count_value(api.host.limit_answers())},
                                            {"running", count_value(counts.running)},
                                            {"waiting", count_value(counts.waiting)},
                                            {"preparing", count_value(api.host.preparing())}});
  HttpReply reply{.status = fine ? 200 : 503, .body = to_json(body), .headers = {}};
  if (!fine) reply.headers.emplace_back("Retry-After", "1");
  responder->reply(std::move(reply));
}

void metrics(Api& api, const ResponderPtr& responder) {
  const auto counts = api.host.counts();
  const auto real = [](int64_t v) { return static_cast<double>(v); };
  const Metrics::Gauge gauges[] = {
      {"answers_open", "answers in work or waiting", real(api.host.answers_open())},
      {"batch_size", "answers in the batch", real(counts.running)},
      {"queue_length", "answers waiting for room", real(counts.waiting)},
      {"queue_prompt_tokens", "prompt tokens waiting for room", real(counts.waiting_tok)},
      {"steps_total", "forwards computed", real(counts.steps), true},
      {"step_generated_tokens_total", "tokens chosen in them; by steps: the mean batch size",
       real(counts.generated_tok), true},
      {"prefix_cache_prompt_tokens_total", "prompt tokens of the answers that began", real(counts.prompt_tok), true},
      {"prefix_cache_hit_tokens_total", "those of them that the prefix cache had", real(counts.cache_hit_tok), true},
      {"kv_pages", "pages of keys and values in all", real(counts.total_pages)},
      {"kv_pages_used", "pages that answers or the prefix cache hold", real(counts.total_pages - counts.free_pages)},
      {"kv_pages_free", "pages nobody holds", real(counts.free_pages)},
      {"kv_pages_remembered", "pages the prefix cache holds", real(counts.remembered_pages)},
      {"preemptions_total", "answers set back because pages ran out", real(counts.preemptions), true},
      {"connections", "open connections", real(api.connections())},
  };
  responder->reply(
      {.type = "text/plain; version=0.0.4; charset=utf-8", .body = api.metrics.print(gauges), .headers = {}});
}

}  // namespace

void add_admin_routes(Router& router, Api& api) {
  const auto get = [&](std::string path, std::string summary, Handler handler, bool is_public, std::string tag) {
    router.add({.method = "GET",
                .path = std::move(path),
                .summary = std::move(summary),
                .handler = std::move(handler),
                .is_public = is_public,
                .body = "",
                .tag = std::move(tag)});
  };
  get(
      "/health", "whether requests are taken, and how many are in work",
      [&api](HttpRequest, const ResponderPtr& r) { health(api, r); }, true, "bantam");
  get(
      "/metrics", "counters and histograms for Prometheus",
      [&api](HttpRequest, const ResponderPtr& r) { metrics(api, r); }, false, "bantam");
  get(
      "/v1/models", "the models of this server", [&api](HttpRequest, const ResponderPtr& r) { list_models(api, r); },
      false, "openai");
  get(
      "/v1/models/{model}", "one model",
      [&api](HttpRequest request, const ResponderPtr& r) { show_model(api, request, r); }, false, "openai");
  get(
      "/openapi.json", "this description",
      [&api, &router](HttpRequest, const ResponderPtr& r) {
        r->reply({.body = to_json(router.openapi(api.version)), .headers = {}});
      },
      false, "bantam");
}

}  // namespace bantam::server
