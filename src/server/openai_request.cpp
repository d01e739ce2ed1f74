// See openai_request.h.
#include "server/openai_request.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "server/json_values.h"
#include "server/openai_response.h"
#include "server/request_fields.h"

namespace bantam::server {
namespace {

constexpr int64_t kMaxTok = int64_t{1} << 30;
constexpr int64_t kMostChoices = 256;  // of one request for completions

Status parse_stops(Fields& fields, std::vector<std::string>* out) {
  constexpr size_t kMostStops = 16;
  const JsonValue* value = fields.find("stop");
  if (value == nullptr) return {};
  if (value->is_string()) {
    out->push_back(value->as_string());
  } else if (value->is_array()) {
    for (const JsonValue& item : value->items()) {
      if (!item.is_string()) return bad_input("stop: expected strings, got {}", item.kind_name());
      out->push_back(item.as_string());
    }
  } else {
    return bad_input("stop: expected a string or an array of strings, got {}", value->kind_name());
  }
  std::erase(*out, "");
  if (out->size() > kMostStops) return bad_input("stop: expected at most {} strings, got {}", kMostStops, out->size());
  return {};
}

Status parse_logit_bias(Fields& fields, std::vector<std::pair<int32_t, float>>* out) {
  const JsonValue* value = fields.find("logit_bias");
  if (value == nullptr) return {};
  if (!value->is_object()) return bad_input("logit_bias: expected an object, got {}", value->kind_name());
  for (const auto& [key, bias] : value->members()) {
    int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0) {
      return bad_input("logit_bias: expected a token id as key, got {:?}", key);
    }
    auto number = bias.as_double();
    if (!number.ok() || !(std::abs(*number) <= 100)) {
      return bad_input("logit_bias: {:?}: expected a number from -100 to 100", key);
    }
    out->emplace_back(id, static_cast<float>(*number));
  }
  return {};
}

}  // namespace

Status parse_generation_fields(Fields& fields, GenerationRequest* out) {
  BANTAM_TRY(fields.string("model", &out->model));
  engine::SamplingWishes& wishes = out->sampling;
  BANTAM_TRY(fields.number("temperature", 0, 100, &wishes.temperature));
  BANTAM_TRY(fields.number("top_p", 0, 1, &wishes.top_p));
  BANTAM_TRY(fields.number("min_p", 0, 1, &wishes.min_p));
  BANTAM_TRY(fields.number("presence_penalty", -100, 100, &wishes.presence_penalty));
  BANTAM_TRY(fields.number("frequency_penalty", -100, 100, &wishes.frequency_penalty));
  BANTAM_TRY(fields.number("repetition_penalty", 0.01, 100, &wishes.repetition_penalty));
  BANTAM_TRY(fields.integer("top_k", -1, 1 << 20, &wishes.top_k));
  if (wishes.top_k == -1) wishes.top_k = 0;  // other servers' word for off
  BANTAM_TRY(
      fields.integer("seed", std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(), &wishes.seed));
  BANTAM_TRY(fields.integer("max_tokens", 0, kMaxTok, &out->max_tok));
  BANTAM_TRY(fields.integer("max_completion_tokens", 0, kMaxTok, &out->max_tok));
  std::optional<int32_t> n;
  BANTAM_TRY(fields.integer("n", 1, 8, &n));
  out->n = n.value_or(1);
  std::optional<bool> stream;
  BANTAM_TRY(fields.boolean("stream", &stream));
  out->stream = stream.value_or(false);
  if (const JsonValue* options = fields.find("stream_options")) {
    if (!options->is_object()) return bad_input("stream_options: expected an object, got {}", options->kind_name());
    std::optional<bool> usage;
    BANTAM_TRY(Fields(*options, "stream_options.").boolean("include_usage", &usage));
    out->include_usage = usage.value_or(false);
  }
  std::optional<bool> progress;
  BANTAM_TRY(fields.boolean("return_progress", &progress));
  out->return_progress = progress.value_or(false);
  fields.ignore(
      {"user", "metadata", "store", "service_tier", "parallel_tool_calls", "prompt_cache_key", "safety_identifier"});
  BANTAM_TRY(parse_stops(fields, &out->stops));
  return parse_logit_bias(fields, &out->logit_bias);
}

namespace {

// Content parts joined to one text; a string or null stays what it is.
Result<JsonValue> plain_content(const JsonValue& content, size_t message) {
  if (content.is_string() || content.is_null()) return content;
  if (!content.is_array()) {
    return bad_input("messages[{}].content: expected a string or an array of parts, got {}", message,
                     content.kind_name());
  }
  std::string text;
  for (const JsonValue& part : content.items()) {
    const JsonValue* type = part.find("type");
    const JsonValue* value = part.find("text");
    if (type == nullptr || !type->is_string() || value == nullptr || !value->is_string()) {
      return bad_input("messages[{}].content: expected parts {{\"type\": \"text\", \"text\": ...}}, got {}", message,
                       type != nullptr && type->is_string() ? type->as_string() : std::string(part.kind_name()));
    }
    text += value->as_string();
  }
  return JsonValue::string(std::move(text));
}

Status parse_messages(Fields& fields, JsonValue* out) {
  const JsonValue* messages = fields.find("messages");
  if (messages == nullptr || !messages->is_array() || messages->items().empty()) {
    return bad_input("messages: expected a non-empty array of messages");
  }
  *out = JsonValue::array();
  for (size_t i = 0; i < messages->items().size(); ++i) {
    JsonValue message = messages->items()[i];
    if (!message.is_object()) return bad_input("messages[{}]: expected an object, got {}", i, message.kind_name());
    const JsonValue* role = message.find("role");
    if (role == nullptr || !role->is_string()) return bad_input("messages[{}].role: expected a string", i);
    constexpr std::string_view kRoles[] = {"system", "developer", "user", "assistant", "tool"};
    if (std::find(std::begin(kRoles), std::end(kRoles), role->as_string()) == std::end(kRoles)) {
      return bad_input("messages[{}].role: expected system, developer, user, assistant or tool, got {:?}", i,
                       role->as_string());
    }
    if (role->as_string() == "developer") message.set("role", JsonValue::string("system"));
    if (const JsonValue* content = message.find("content")) {
      BANTAM_TRY_ASSIGN(JsonValue plain, plain_content(*content, i));
      message.set("content", std::move(plain));
    }
    out->items().push_back(std::move(message));
  }
  return {};
}

Status parse_tools(Fields& fields, JsonValue* out) {
  const JsonValue* tools = fields.find("tools");
  const JsonValue* choice = fields.find("tool_choice");
  if (tools != nullptr && !tools->is_array()) {
    return bad_input("tools: expected an array, got {}", tools->kind_name());
  }
  const std::string wish = choice != nullptr && choice->is_string() ? choice->as_string() : "";
  if (choice != nullptr && wish != "auto" && wish != "none") {
    return bad_input("tool_choice: expected \"auto\" or \"none\"; a forced call is not supported");
  }
  if (tools != nullptr && !tools->items().empty() && wish != "none") *out = *tools;
  return {};
}

// Tokens of thinking that an effort stands for; nothing for one without a limit.
Result<std::optional<int64_t>> budget_of(std::string_view field, const std::string& effort) {
  constexpr std::pair<std::string_view, int64_t> kEfforts[] = {{"low", 256}, {"medium", 1024}, {"high", 4096}};
  for (const auto& [name, tok] : kEfforts) {
    if (effort == name) return std::optional<int64_t>(tok);
  }
  if (effort == "none" || effort == "minimal" || effort == "xhigh" || effort.empty()) return std::optional<int64_t>();
  return bad_input("{}: expected none, minimal, low, medium, high or xhigh, got {:?}", field, effort);
}

}  // namespace

Status apply_effort(std::string_view field, const std::string& effort, ChatRequest* out) {
  BANTAM_TRY_ASSIGN(const std::optional<int64_t> budget, budget_of(field, effort));
  if (effort.empty()) return {};
  if (!out->thinking) out->thinking = effort != "none" && effort != "minimal";
  if (!out->thinking_budget) out->thinking_budget = budget;
  return {};
}

// enable_thinking, think, chat_template_kwargs.enable_thinking, thinking.type and reasoning_effort say the same; the
// first one counts. So do thinking_budget, thinking.budget_tokens and the effort's preset.
Status parse_thinking_fields(Fields& fields, ChatRequest* out) {
  std::optional<bool> plain, think, nested, by_type;
  BANTAM_TRY(fields.boolean("enable_thinking", &plain));
  BANTAM_TRY(fields.boolean("think", &think));
  if (const JsonValue* kwargs = fields.find("chat_template_kwargs")) {
    BANTAM_TRY(Fields(*kwargs, "chat_template_kwargs.").boolean("enable_thinking", &nested));
  }
  std::optional<int64_t> budget, typed_budget;
  BANTAM_TRY(fields.integer("thinking_budget", 0, kMaxTok, &budget));
  if (const JsonValue* thinking = fields.find("thinking")) {
    Fields inner(*thinking, "thinking.");
    std::string type;
    BANTAM_TRY(inner.string("type", &type));
    if (type == "enabled" || type == "adaptive" || type == "disabled") by_type = type != "disabled";
    BANTAM_TRY(inner.integer("budget_tokens", 0, kMaxTok, &typed_budget));
  }
  for (const std::optional<bool>& wish : {plain, think, nested, by_type}) {
    if (wish && !out->thinking) out->thinking = wish;
  }
  for (const std::optional<int64_t>& wish : {budget, typed_budget}) {
    if (wish && !out->thinking_budget) out->thinking_budget = wish;
  }
  std::string effort;
  BANTAM_TRY(fields.string("reasoning_effort", &effort));
  return apply_effort("reasoning_effort", effort, out);
}

namespace {

Status parse_response_format(Fields& fields) {
  const JsonValue* format = fields.find("response_format");
  if (format == nullptr) return {};
  const JsonValue* type = format->find("type");
  if (type != nullptr && type->is_string() && type->as_string() == "text") return {};
  return bad_input("response_format: expected {{\"type\": \"text\"}}; constrained output is not supported");
}

Result<engine::GenerateOptions> options_for(const GenerationRequest& request, const ServedModel& model, bool thinking,
                                            bool hybrid) {
  engine::GenerateOptions out;
  out.sampling = engine::resolve_sampling(request.sampling, *model.info, thinking, hybrid);
  for (const auto& [id, bias] : request.logit_bias) {
    if (id >= model.info->vocab_rows) {
      return bad_input("logit_bias: expected an id from 0 to {}, got {}", model.info->vocab_rows - 1, id);
    }
  }
  out.sampling.logit_bias = request.logit_bias;
  out.sampling.top_logprobs = request.top_logprobs;
  out.max_tok = request.max_tok.value_or(-1);
  out.stops = request.stops;
  out.stop_ids = model.info->stop_ids;
  return out;
}

Result<PreparedRequest> prepare_raw(const std::string& text, const GenerationRequest& request,
                                    const ServedModel& model) {
  PreparedRequest out;
  out.ids = model.tokenizer->encode(text, /*allow_added=*/true);
  BANTAM_TRY_ASSIGN(out.options, options_for(request, model, /*thinking=*/false, /*hybrid=*/false));
  out.options.parse_answer = false;
  return out;
}

// A text, token ids, or an array of either: one prompt each.
Status parse_prompts(Fields& fields, std::vector<CompletionRequest::Prompt>* out) {
  const JsonValue* prompt = fields.find("prompt");
  constexpr const char* kExpected = "prompt: expected a non-empty string, token ids, or an array of these";
  if (prompt == nullptr) return bad_input("{}", kExpected);
  const bool one =
      prompt->is_string() || (prompt->is_array() && !prompt->items().empty() && prompt->items()[0].is_number());
  if (!one && !prompt->is_array()) return bad_input("{}; got {}", kExpected, prompt->kind_name());
  const std::vector<JsonValue> single = one ? std::vector<JsonValue>{*prompt} : std::vector<JsonValue>();
  for (const JsonValue& item : one ? single : prompt->items()) {
    CompletionRequest::Prompt& next = out->emplace_back();
    if (item.is_string()) {
      next.text = item.as_string();
    } else {
      BANTAM_TRY(parse_ids(item, "prompt", &next.ids));
    }
    if (next.text.empty() && next.ids.empty()) return bad_input("{}", kExpected);
  }
  if (out->empty()) return bad_input("{}", kExpected);
  return {};
}

}  // namespace

Result<ChatRequest> parse_chat_request(const JsonValue& body) {
  if (!body.is_object()) return bad_input("expected a JSON object, got {}", body.kind_name());
  ChatRequest out;
  Fields fields(body);
  BANTAM_TRY(parse_generation_fields(fields, &out));
  BANTAM_TRY(parse_messages(fields, &out.messages));
  BANTAM_TRY(parse_tools(fields, &out.tools));
  BANTAM_TRY(parse_thinking_fields(fields, &out));
  if (const JsonValue* prefix = fields.find("prefix_token_ids")) {
    BANTAM_TRY(parse_ids(*prefix, "prefix_token_ids", &out.prefix_ids));
  }
  BANTAM_TRY(parse_response_format(fields));
  std::optional<bool> logprobs;
  std::optional<int32_t> top;
  BANTAM_TRY(fields.boolean("logprobs", &logprobs));
  BANTAM_TRY(fields.integer("top_logprobs", 0, 20, &top));
  if (top && !logprobs.value_or(false)) return bad_input("top_logprobs: expected \"logprobs\": true beside it");
  if (logprobs.value_or(false)) out.top_logprobs = top.value_or(0);
  out.unknown_fields = fields.unread();
  return out;
}

Result<CompletionRequest> parse_completion_request(const JsonValue& body) {
  if (!body.is_object()) return bad_input("expected a JSON object, got {}", body.kind_name());
  CompletionRequest out;
  Fields fields(body);
  BANTAM_TRY(parse_generation_fields(fields, &out));
  BANTAM_TRY(parse_prompts(fields, &out.prompts));
  std::optional<bool> echo;
  BANTAM_TRY(fields.boolean("echo", &echo));
  out.echo = echo.value_or(false);
  fields.ignore({"best_of"});
  if (fields.find("suffix") != nullptr) return bad_input("suffix: not supported; the prompt is continued at its end");
  std::optional<int32_t> logprobs;
  BANTAM_TRY(fields.integer("logprobs", 0, 20, &logprobs));
  out.top_logprobs = logprobs.value_or(-1);
  constexpr int64_t kDefaultTok = 16;  // OpenAI's default for this route
  if (!out.max_tok) out.max_tok = kDefaultTok;
  if (static_cast<int64_t>(out.prompts.size()) * out.n > kMostChoices) {
    return bad_input("prompt: expected at most {} prompts times n, got {}", kMostChoices, out.prompts.size());
  }
  out.unknown_fields = fields.unread();
  return out;
}

namespace {

// What the client calls a turn by: the item it was, and its calls.
std::vector<std::string> ids_of(const JsonValue& message) {
  std::vector<std::string> out;
  const auto add = [&](const JsonValue& holder) {
    if (std::string id = string_at(holder, "id"); !id.empty()) out.push_back(std::move(id));
  };
  add(message);
  const JsonValue* calls = message.find("tool_calls");
  if (calls == nullptr || !calls->is_array()) return out;
  for (const JsonValue& call : calls->items()) add(call);
  return out;
}

}  // namespace

Result<engine::Prompt> render(const ChatRequest& request, const JsonValue& messages, const ServedModel& model) {
  const JsonValue* tools = request.tools.is_null() ? nullptr : &request.tools;
  engine::FindTurn find;
  if (model.find_turn) {
    find = [&](size_t i, std::string_view content) { return model.find_turn(ids_of(messages.items()[i]), content); };
  }
  return engine::render_prompt(*model.tokenizer, model.template_kind, messages, tools, request.thinking, find);
}

Result<PreparedRequest> prepare(const ChatRequest& request, const ServedModel& model) {
  if (request.raw_prompt) return prepare_raw(*request.raw_prompt, request, model);
  BANTAM_TRY_ASSIGN(engine::Prompt prompt, render(request, request.messages, model));
  PreparedRequest out;
  out.ids = std::move(prompt.ids);
  const bool thinking = engine::will_think(model.template_kind, request.thinking);
  BANTAM_TRY_ASSIGN(out.options, options_for(request, model, thinking, text::is_hybrid(model.template_kind)));
  out.options.starts_in_thinking = prompt.starts_in_thinking;
  out.options.parse_calls = !request.tools.is_null();
  out.options.thinking_budget_tok = request.thinking_budget.value_or(-1);
  const std::vector<int32_t> begun = request.prefix_ids.empty()
                                         ? model.tokenizer->encode(request.prefix_text, /*allow_added=*/false)
                                         : request.prefix_ids;
  out.options.resumed_tok = static_cast<int64_t>(begun.size());
  out.ids.insert(out.ids.end(), begun.begin(), begun.end());
  return out;
}

Result<PreparedRequest> prepare(const CompletionRequest& request, size_t prompt, const ServedModel& model) {
  const CompletionRequest::Prompt& given = request.prompts[prompt];
  PreparedRequest out;
  out.ids = given.ids.empty() ? model.tokenizer->encode(given.text, /*allow_added=*/true) : given.ids;
  BANTAM_TRY_ASSIGN(out.options, options_for(request, model, /*thinking=*/false, /*hybrid=*/false));
  out.options.parse_answer = false;
  if (request.echo) out.options.prompt_logprobs = request.top_logprobs;
  return out;
}

std::vector<int32_t> history_ids(const ChatRequest& request, const engine::Generation& answer, bool with_thinking,
                                 const ServedModel& model) {
  JsonValue messages = request.messages;
  messages.items().push_back(assistant_message(answer, "call"));
  if (!with_thinking) messages.items().back().set("reasoning_content", JsonValue());
  const bool called = !answer.tool_calls.empty();
  std::vector<int32_t> common;
  for (const char* next : {"a", "1"}) {
    JsonValue with_next = messages;
    with_next.items().push_back(JsonValue::object(
        {{"role", JsonValue::string(called ? "tool" : "user")}, {"content", JsonValue::string(next)}}));
    auto prompt = render(request, with_next, model);
    if (!prompt.ok()) return {};
    if (common.empty()) {
      common = std::move(prompt->ids);
    } else {
      const auto end = std::mismatch(common.begin(), common.end(), prompt->ids.begin(), prompt->ids.end()).first;
      common.erase(end, common.end());
    }
  }
  return common;
}

}  // namespace bantam::server
