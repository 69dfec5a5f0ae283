// Reading text files line by line, split into words; errors name the file and the line.
//
// Words are separated by blanks, tabs, commas or semicolons. CRLF and a UTF-8 byte order mark are
// accepted.
#ifndef OSLOM_LINE_READER_H
#define OSLOM_LINE_READER_H

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <vector>

#include "error.h"
#include "number_text.h"

namespace oslom {

class LineReader {
 public:
  // `kind` is what messages call the file: "edge file".
  LineReader(std::string name, std::string kind) : name_(std::move(name)), kind_(std::move(kind)) {}

 protected:
  std::ifstream open_file() const {
    struct stat info;
    if (stat(name_.c_str(), &info) != 0) throw Error("cannot open the " + kind_ + " " + name_ + ": " + std::strerror(errno));
    if (!S_ISREG(info.st_mode) && !S_ISFIFO(info.st_mode)) throw Error("the " + kind_ + " " + name_ + " is a folder or a device, not a file");
    std::ifstream file(name_, std::ios::binary);
    if (!file) throw Error("cannot open the " + kind_ + " " + name_ + ": " + std::strerror(errno));
    return file;
  }

  // Calls read_line(line) for every line; where() knows the line then.
  template <typename ReadLine>
  void for_each_line(std::istream& text, ReadLine read_line) {
    std::string line;
    while (std::getline(text, line)) {
      if (++line_ == 1 && line.compare(0, 3, "\xEF\xBB\xBF") == 0) line.erase(0, 3);
      read_line(line);
    }
    if (text.bad()) throw Error("cannot read the " + kind_ + " " + name_ + " after line " + std::to_string(line_));
  }

  // The words of a line, from `at` up to a `#`.
  void split(const std::string& line, std::size_t at = 0) {
    tokens_.clear();
    while (at < line.size() && line[at] != '#') {
      const std::size_t start = at;
      while (at < line.size() && !separates(line[at]) && line[at] != '#') ++at;
      if (at > start) tokens_.emplace_back(line, start, at - start);
      else ++at;
    }
  }

  std::int64_t vertex_id(const std::string& token) const {
    std::int64_t id = 0;
    switch (read_whole(token, id)) {
      case WholeNumber::good: return id;
      case WholeNumber::negative: fail_id("vertex id " + shown(token) + " is negative");
      case WholeNumber::too_large: fail_id("vertex id " + shown(token) + " is too large");
      case WholeNumber::not_whole: fail_id("vertex id " + shown(token) + " is not a whole number");
      case WholeNumber::not_a_number: break;
    }
    fail_id("vertex id " + shown(token) + " is not a number");
  }

  std::string where(std::size_t line) const { return name_ + " line " + std::to_string(line); }
  [[noreturn]] void fail(const std::string& sentence) const { throw Error(where(line_) + ": " + sentence); }
  [[noreturn]] void fail_id(const std::string& sentence) const {
    fail(sentence + "; ids are whole numbers from 0 to 9223372036854775807");
  }

  std::string name_, kind_;
  std::size_t line_ = 0;
  std::vector<std::string> tokens_;

 private:
  static bool separates(char c) {
    return c == ' ' || c == '\t' || c == ',' || c == ';' || c == '\r' || c == '\v' || c == '\f';
  }
};

}  // namespace oslom

#endif  // OSLOM_LINE_READER_H
