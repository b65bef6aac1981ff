// What is wrong or worth telling about a configuration, gathered while it is read, so that all of
// it can be said in one go.
//
// Owned by load_config() for one run. Single-threaded.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config.h"

namespace holdfast {

/// Where something stood: a source (index into Findings) with line and column from 1; line 0: the
/// source has no lines (--set).
struct Place {
  int source = -1;
  int line = 0;
  int column = 0;
};

class Findings {
 public:
  static constexpr std::size_t kErrorsMax = 200;

  /// Gives the index that stands for this source in every Place.
  int add_source(std::string name);

  void error(const Place& place, std::string key, std::string message, std::string hint = {});
  void warning(const Place& place, std::string key, std::string message);

  /// A file that the configuration is made of, whether it could be read or not.
  void note_file(const std::string& path) { files_.insert(path); }
  std::vector<std::string> files() const { return {files_.begin(), files_.end()}; }

  bool ok() const { return errors_.empty(); }
  /// So many errors that nobody reads a further one.
  bool full() const { return errors_.size() >= kErrorsMax; }
  /// Without repetitions, in the order of sources and lines.
  std::vector<Diagnostic> errors() const;
  std::vector<std::string> warnings() const;

 private:
  struct Finding {
    Place place;
    Diagnostic diagnostic;
  };
  Finding make(const Place& place, std::string key, std::string message, std::string hint) const;

  static std::vector<Finding> in_order(std::vector<Finding> findings);

  std::vector<std::string> sources_;
  std::set<std::string> files_;
  std::vector<Finding> errors_;
  std::size_t errors_left_out_ = 0;
  std::vector<Finding> warnings_;
};

/// `text` fit for a message: control characters escaped, cut after 80 bytes.
std::string printable(std::string_view text);

/// `printable` in double quotes.
std::string quoted(std::string_view text);

}  // namespace holdfast
