// How --help looks: short value names instead of types and ranges, defaults after the description, the examples last.
// Used by main for every command.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace bantam::cli {

class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter();
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_desc(const CLI::Option* option) const override;
};

}  // namespace bantam::cli
