// See openai_request.h.
#include "server/openai_request.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <string_view>

namespace bantam::server {
namespace {

constexpr int64_t kMaxTok = int64_t{1} << 30;

// The fields of one object; remembers which were read, so that the others can be listed.
class Fields {
 public:
  explicit Fields(const JsonValue& body) : body_(body) {}

  const JsonValue* find(std::string_view key) {
    read_.push_back(key);
    const JsonValue* value = body_.find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  template <class T>
  Status number(std::string_view key, double low, double high, std::optional<T>* out) {
    const JsonValue* value = find(key);
    if (value == nullptr) return {};
    auto parsed = value->as_double();
    if (!parsed.ok()) return bad_input("{}: expected a number, got {}", key, value->kind_name());
    if (!(*parsed >= low && *parsed <= high)) {
      return bad_input("{}: expected a number from {} to {}, got {}", key, low, high, *parsed);
    }
    *out = static_cast<T>(*parsed);
    return {};
  }
  template <class T>
  Status integer(std::string_view key, int64_t low, int64_t high, std::optional<T>* out) {
    const JsonValue* value = find(key);
    if (value == nullptr) return {};
    auto parsed = value->as_int64();
    if (!parsed.ok()) return bad_input("{}: expected a whole number, got {}", key, value->kind_name());
    if (*parsed < low || *parsed > high) {
      return bad_input("{}: expected a whole number from {} to {}, got {}", key, low, high, *parsed);
    }
    *out = static_cast<T>(*parsed);
    return {};
  }
  Status boolean(std::string_view key, std::optional<bool>* out) {
    const JsonValue* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_bool()) return bad_input("{}: expected true or false, got {}", key, value->kind_name());
    *out = value->as_bool();
    return {};
  }
  Status string(std::string_view key, std::string* out) {
    const JsonValue* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_string()) return bad_input("{}: expected a string, got {}", key, value->kind_name());
    *out = value->as_string();
    return {};
  }
  // Fields that say nothing about the answer.
  void ignore(std::initializer_list<std::string_view> keys) { read_.insert(read_.end(), keys.begin(), keys.end()); }
  std::vector<std::string> unread() const {
    std::vector<std::string> out;
    for (const auto& [key, value] : body_.members()) {
      if (std::find(read_.begin(), read_.end(), key) == read_.end()) out.push_back(key);
    }
    return out;
  }

 private:
  const JsonValue& body_;
  std::vector<std::string_view> read_;
};

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

Status parse_common(Fields& fields, GenerationRequest* out) {
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
  fields.ignore({"stream_options", "user", "metadata", "store", "service_tier", "parallel_tool_calls",
                 "prompt_cache_key", "safety_identifier"});
  BANTAM_TRY(parse_stops(fields, &out->stops));
  return parse_logit_bias(fields, &out->logit_bias);
}

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

// enable_thinking, think, chat_template_kwargs.enable_thinking and reasoning_effort say the same; the first one counts.
Status parse_thinking(Fields& fields, std::optional<bool>* out) {
  std::optional<bool> plain, think, nested;
  BANTAM_TRY(fields.boolean("enable_thinking", &plain));
  BANTAM_TRY(fields.boolean("think", &think));
  if (const JsonValue* kwargs = fields.find("chat_template_kwargs")) {
    Fields inner(*kwargs);
    BANTAM_TRY(inner.boolean("enable_thinking", &nested));
  }
  std::string effort;
  BANTAM_TRY(fields.string("reasoning_effort", &effort));
  std::optional<bool> by_effort;
  if (!effort.empty()) by_effort = effort != "none";
  for (const std::optional<bool>& wish : {plain, think, nested, by_effort}) {
    if (wish && !*out) *out = wish;
  }
  return {};
}

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

}  // namespace

Result<ChatRequest> parse_chat_request(const JsonValue& body) {
  if (!body.is_object()) return bad_input("expected a JSON object, got {}", body.kind_name());
  ChatRequest out;
  Fields fields(body);
  BANTAM_TRY(parse_common(fields, &out));
  BANTAM_TRY(parse_messages(fields, &out.messages));
  BANTAM_TRY(parse_tools(fields, &out.tools));
  BANTAM_TRY(parse_thinking(fields, &out.thinking));
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
  BANTAM_TRY(parse_common(fields, &out));
  const JsonValue* prompt = fields.find("prompt");
  if (prompt != nullptr && prompt->is_string() && !prompt->as_string().empty()) {
    out.prompt = prompt->as_string();
  } else if (prompt != nullptr && prompt->is_array() && !prompt->items().empty()) {
    for (const JsonValue& item : prompt->items()) {
      auto id = item.as_int64();
      if (!id.ok() || *id < 0 || *id > std::numeric_limits<int32_t>::max()) {
        return bad_input("prompt: expected one text or one array of token ids, got an array with {}", item.kind_name());
      }
      out.ids.push_back(static_cast<int32_t>(*id));
    }
  } else {
    return bad_input("prompt: expected a non-empty string or array of token ids");
  }
  std::optional<int32_t> logprobs;
  BANTAM_TRY(fields.integer("logprobs", 0, 20, &logprobs));
  out.top_logprobs = logprobs.value_or(-1);
  constexpr int64_t kDefaultTok = 16;  // OpenAI's default for this route
  if (!out.max_tok) out.max_tok = kDefaultTok;
  out.unknown_fields = fields.unread();
  return out;
}

Result<PreparedRequest> prepare(const ChatRequest& request, const ServedModel& model) {
  const JsonValue* tools = request.tools.is_null() ? nullptr : &request.tools;
  BANTAM_TRY_ASSIGN(engine::Prompt prompt, engine::render_prompt(*model.tokenizer, model.template_kind,
                                                                 request.messages, tools, request.thinking));
  PreparedRequest out;
  out.ids = std::move(prompt.ids);
  const bool thinking = engine::will_think(model.template_kind, request.thinking);
  BANTAM_TRY_ASSIGN(out.options, options_for(request, model, thinking, text::is_hybrid(model.template_kind)));
  out.options.starts_in_thinking = prompt.starts_in_thinking;
  return out;
}

Result<PreparedRequest> prepare(const CompletionRequest& request, const ServedModel& model) {
  PreparedRequest out;
  out.ids = request.ids.empty() ? model.tokenizer->encode(request.prompt, /*allow_added=*/true) : request.ids;
  BANTAM_TRY_ASSIGN(out.options, options_for(request, model, /*thinking=*/false, /*hybrid=*/false));
  out.options.parse_answer = false;
  return out;
}

}  // namespace bantam::server
