// /v1/embeddings: texts as vectors of length 1, the mean or the last of the final hidden states. The family's chat
// models were not trained for this: good enough to find similar texts, no match for a model made for it.
#include <array>
#include <cstring>

#include "server/api.h"
#include "server/json_values.h"
#include "server/request_fields.h"

namespace bantam::server {
namespace {

constexpr size_t kMostInputs = 2048;  // OpenAI's limit

struct EmbeddingRequest {
  std::vector<std::vector<int32_t>> inputs;
  engine::Pooling pooling = engine::Pooling::kLast;
  bool base64 = false;
  std::vector<std::string> unknown_fields;
};

// A text, token ids, or an array of either.
Status parse_inputs(Fields& fields, const text::Tokenizer& tokenizer, EmbeddingRequest* out) {
  const JsonValue* input = fields.find("input");
  constexpr const char* kExpected = "input: expected a non-empty string, token ids, or an array of these";
  if (input == nullptr) return bad_input("{}", kExpected);
  const bool one =
      input->is_string() || (input->is_array() && !input->items().empty() && input->items().front().is_number());
  if (!one && !input->is_array()) return bad_input("{}; got {}", kExpected, input->kind_name());
  const std::vector<JsonValue> single = one ? std::vector<JsonValue>{*input} : std::vector<JsonValue>();
  const std::vector<JsonValue>& items = one ? single : input->items();
  if (items.empty() || items.size() > kMostInputs) {
    return bad_input("input: expected 1 to {} texts, got {}", kMostInputs, items.size());
  }
  for (const JsonValue& item : items) {
    std::vector<int32_t>& ids = out->inputs.emplace_back();
    if (item.is_string()) {
      ids = tokenizer.encode(item.as_string(), /*allow_added=*/false);
    } else {
      BANTAM_TRY(parse_ids(item, "input", &ids));
    }
    if (ids.empty()) return bad_input("{}", kExpected);
  }
  return {};
}

Result<EmbeddingRequest> parse_embedding_request(const JsonValue& body, const ModelFace& model) {
  EmbeddingRequest out;
  Fields fields(body);
  fields.ignore({"model", "user"});
  BANTAM_TRY(parse_inputs(fields, *model.tokenizer, &out));
  std::string format = "float", pooling = "last";
  BANTAM_TRY(fields.string("encoding_format", &format));
  if (format != "float" && format != "base64") {
    return bad_input("encoding_format: expected float or base64, got {:?}", format);
  }
  BANTAM_TRY(fields.string("pooling", &pooling));
  if (pooling != "mean" && pooling != "last") return bad_input("pooling: expected mean or last, got {:?}", pooling);
  std::optional<int64_t> dimensions;
  BANTAM_TRY(fields.integer("dimensions", 1, int64_t{1} << 30, &dimensions));
  if (dimensions && *dimensions != model.info.hidden) {
    return bad_input("dimensions: this model's vectors have {}, got {}", model.info.hidden, *dimensions);
  }
  out.base64 = format == "base64";
  out.pooling = pooling == "mean" ? engine::Pooling::kMean : engine::Pooling::kLast;
  out.unknown_fields = fields.unread();
  return out;
}

// The bytes of little-endian floats.
std::string base64_of(const std::vector<float>& vector) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes(vector.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), vector.data(), bytes.size());
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t three = 0;
    for (size_t k = 0; k < 3; ++k) {
      three = three << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (size_t k = 0; k < 4; ++k) out += i + k > bytes.size() ? '=' : kDigits[three >> (18 - 6 * k) & 63];
  }
  return out;
}

class EmbeddingAnswer : public AnswerEvents, public std::enable_shared_from_this<EmbeddingAnswer> {
 public:
  EmbeddingAnswer(Api& api, ResponderPtr responder, std::shared_ptr<Api::Received> received, bool base64)
      : api_(api), responder_(std::move(responder)), received_(std::move(received)), base64_(base64) {}

  void begin(EmbeddingRequest request) {
    Work work{.model = received_->model,
              .owner = received_->request.owner,
              .choices = {},
              .pooling = request.pooling,
              .events = shared_from_this()};
    for (auto& ids : request.inputs) {
      prompt_tok_ += static_cast<int64_t>(ids.size());
      work.choices.push_back({std::move(ids), {}});
    }
    left_ = work.choices.size();
    vectors_.resize(left_);
    const auto number = api_.host.submit(std::move(work));
    if (!number.ok()) {
      if (number.status().code() == ErrorCode::kBusy) ++api_.metrics.rejected;
      return responder_->reply(error_reply(number.status()));
    }
    responder_->on_gone([&api = api_, number = *number] {
      ++api.metrics.cancelled;
      api.host.cancel(number);
    });
  }

  void on_embedding(size_t choice, std::vector<float> vector) override {
    vectors_[choice] = std::move(vector);
    if (--left_ > 0) return;
    api_.metrics.prompt_tok += prompt_tok_;
    api_.metrics.request_s.observe(received_->since.elapsed_ms() / 1000);
    responder_->on_gone({});
    responder_->reply({.body = to_json(answer()), .headers = {}});
  }

  void on_failed(const Status& status) override {
    responder_->on_gone({});
    if (!responder_->gone()) responder_->reply(error_reply(status));
  }

 private:
  JsonValue answer() const {
    JsonValue data = JsonValue::array();
    for (size_t i = 0; i < vectors_.size(); ++i) {
      JsonValue numbers = JsonValue::array();
      if (!base64_) {
        for (const float x : vectors_[i]) numbers.items().push_back(real_value(x));
      }
      data.items().push_back(
          JsonValue::object({{"object", text_value("embedding")},
                             {"index", count_value(static_cast<int64_t>(i))},
                             {"embedding", base64_ ? JsonValue::string(base64_of(vectors_[i])) : std::move(numbers)}}));
    }
    const JsonValue usage =
        JsonValue::object({{"prompt_tokens", count_value(prompt_tok_)}, {"total_tokens", count_value(prompt_tok_)}});
    return JsonValue::object({{"object", text_value("list")},
                              {"data", std::move(data)},
                              {"model", text_value(received_->model->id)},
                              {"usage", usage}});
  }

  Api& api_;
  ResponderPtr responder_;
  std::shared_ptr<Api::Received> received_;
  bool base64_;
  int64_t prompt_tok_ = 0;
  size_t left_ = 0;
  std::vector<std::vector<float>> vectors_;
};

void embed(Api& api, HttpRequest request, const ResponderPtr& responder) {
  api.receive(std::move(request), responder, error_reply,
              [&api, responder](const std::shared_ptr<Api::Received>& received) {
                auto parsed = std::make_shared<Result<EmbeddingRequest>>(Status());
                api.work(
                    received, [=] { *parsed = parse_embedding_request(received->body, *received->model); },
                    [=, &api] {
                      if (responder->gone()) return;
                      if (!parsed->ok()) return responder->reply(error_reply(parsed->status()));
                      warn_unknown(*responder, (*parsed)->unknown_fields);
                      received->body = JsonValue();
                      std::make_shared<EmbeddingAnswer>(api, responder, received, (*parsed)->base64)
                          ->begin(std::move(**parsed));
                    });
              });
}

}  // namespace

void add_embedding_routes(Router& router, Api& api) {
  router.add({.method = "POST",
              .path = "/v1/embeddings",
              .summary = "texts as vectors",
              .handler = [&api](HttpRequest request,
                                const ResponderPtr& responder) { embed(api, std::move(request), responder); },
              .body = R"({"input":["one text","another"]})",
              .tag = "openai"});
}

}  // namespace bantam::server
