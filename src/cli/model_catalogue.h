// From what the user wrote as MODEL to something that opens: a folder, a .gguf file, a name of a model in the Hugging
// Face cache or quantised here (hub/names.h), or nothing (the house model).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "bantam/engine.h"
#include "base/result.h"
#include "cli/options.h"
#include "formats/checkpoint.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace bantam::cli {

// The embedded files of bantam-nano: name, bytes.
const std::vector<std::pair<std::string, std::string_view>>& house_model_files();

// A file or folder of that name comes before a name. kBadInput naming what was tried, and the `bantam pull` that would
// bring it.
Result<ModelSource> find_model(const std::string& model);
// The name to print: the last part of what it means, or "bantam-nano (house model)".
std::string model_name(const std::string& model);

// Bytes of its files, or 0 when they cannot be opened.
int64_t model_file_bytes(const std::string& model);

// What a config.json says its model is, such as "qwen3"; "" when it says nothing. And whether bantam runs that: the
// Hugging Face cache is shared with programs that run others.
std::string model_type(const std::string& config_path);
bool is_our_family(std::string_view model_type);

// Opens the files of MODEL; weights as asked.
Result<formats::Checkpoint> open_checkpoint(const std::string& model, formats::Weights weights);
Result<text::Tokenizer> open_tokenizer(const std::string& model);

// The template to use: --template NAME when given, else the model's own by fingerprint (a warning goes to stderr).
Result<text::TemplateKind> choose_template(const text::Tokenizer& tokenizer, const std::string& name,
                                           const OutputOptions& output);

}  // namespace bantam::cli
