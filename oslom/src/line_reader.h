// Reading text files line by line, split into words; errors name the file and the line.
//
// Words are separated by blanks, tabs, commas or semicolons. CRLF and a UTF-8 byte order mark are
// accepted.
#ifndef OSLOM_LINE_READER_H
#define OSLOM_LINE_READER_H

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <sstream>
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
  std::string file_text() const {
    struct stat info;
    if (stat(name_.c_str(), &info) != 0) throw Error("cannot open the " + kind_ + " " + name_ + ": no such file");
    if (S_ISDIR(info.st_mode)) throw Error("the " + kind_ + " " + name_ + " is a folder, not a file");
    std::ifstream file(name_, std::ios::binary);
    std::ostringstream text;
    if (file && info.st_size != 0) text << file.rdbuf();
    if (!file || !text) throw Error("cannot read the " + kind_ + " " + name_);
    return text.str();
  }

  // Calls read_line(text, first, end) for every line; where() knows the line then.
  template <typename ReadLine>
  void for_each_line(const std::string& text, ReadLine read_line) {
    std::size_t at = text.compare(0, 3, "\xEF\xBB\xBF") == 0 ? 3 : 0;
    while (at < text.size()) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      ++line_;
      read_line(text, at, end);
      at = end + 1;
    }
  }

  // The words of a line up to a `#`.
  void split(const std::string& text, std::size_t at, std::size_t end) {
    tokens_.clear();
    while (at < end && text[at] != '#') {
      const std::size_t start = at;
      while (at < end && !separates(text[at]) && text[at] != '#') ++at;
      if (at > start) tokens_.emplace_back(text, start, at - start);
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
