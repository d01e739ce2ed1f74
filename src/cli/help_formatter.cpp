// See help_formatter.h.
#include "cli/help_formatter.h"

#include <fmt/format.h>

#include <algorithm>

namespace bantam::cli {

HelpFormatter::HelpFormatter() {
  column_width(32);
  label("OPTIONS", "options");
  label("SUBCOMMAND", "COMMAND");
  label("Positionals", "Arguments");
}

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
  if (!option->get_option_text().empty()) return " " + option->get_option_text();
  if (option->get_type_size() == 0 || option->get_positional()) return {};
  const std::string type = option->get_type_name();
  const size_t choices = type.find('{');
  if (choices != std::string::npos) {
    std::string words = type.substr(choices + 1, type.find('}') - choices - 1);
    std::replace(words.begin(), words.end(), ',', '|');
    return " " + words;
  }
  if (type.starts_with("FLOAT")) return " X";
  if (type.starts_with("INT") || type.starts_with("UINT")) return " N";
  return " " + type.substr(0, type.find(':'));
}

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const {
  const std::string fallback = option->get_default_str();
  if (fallback.empty()) return option->get_description();
  return fmt::format("{}; default: {}", option->get_description(), fallback);
}

}  // namespace bantam::cli
