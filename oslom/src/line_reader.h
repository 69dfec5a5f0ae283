// Reading text files line by line, split into words; errors name the file and the line.
//
// One kind of separator stands between the words of a line: blanks and tabs, commas, or semicolons. A run of
// blanks is one separator, and those around a tab, a comma or a semicolon belong to it; two of these in a row
// enclose an empty cell, which is an error: the words after it would move into other columns. One more may end the
// line. LF, CRLF and CR end lines; a UTF-8 byte order mark is accepted.
#ifndef OSLOM_LINE_READER_H
#define OSLOM_LINE_READER_H

#include <algorithm>
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
    if (stat(name_.c_str(), &info) != 0)
      throw Error("cannot open the " + kind_ + " " + name_ + ": " + std::strerror(errno));
    if (!S_ISREG(info.st_mode) && !S_ISFIFO(info.st_mode))
      throw Error("the " + kind_ + " " + name_ + " is a folder or a device, not a file");
    std::ifstream file(name_, std::ios::binary);
    if (!file) throw Error("cannot open the " + kind_ + " " + name_ + ": " + std::strerror(errno));
    return file;
  }

  // Calls read_line(line) for every line; where() knows the line then.
  template <typename ReadLine>
  void for_each_line(std::istream& text, ReadLine read_line) {
    std::string lines;
    while (std::getline(text, lines)) {
      if (line_ == 0) take_start(lines);
      if (!lines.empty() && lines.back() == '\r') lines.pop_back();
      for (std::size_t start = 0, end = 0; start <= lines.size(); start = end + 1) {
        end = std::min(lines.find('\r', start), lines.size());
        ++line_;
        read_line(lines.substr(start, end - start));
      }
    }
    if (text.bad()) throw Error("cannot read the " + kind_ + " " + name_ + " after line " + std::to_string(line_));
  }

  // The words of a line, from `at` up to a `#`.
  void split(const std::string& line, std::size_t at = 0) {
    tokens_.clear();
    const std::size_t end = std::min(line.find('#', at), line.size());
    char kind = 0;  // of the separators
    Gap gap = gap_at(line, at, end);
    while (at < end) {
      const std::size_t start = at;
      while (at < end && !separates(line[at])) ++at;
      tokens_.emplace_back(line, start, at - start);
      check_gap(gap, kind);
      gap = gap_at(line, at, end);
    }
    if (tokens_.empty()) return;
    if (gap.cells > 1) fail("an empty cell after " + shown(tokens_.back()) + no_empty_cells);
    if (first_words_ == 0) first_words_ = line_;
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
    const std::string header = line_ == first_words_ ? " (a header line? start it with #)" : "";
    fail_id("vertex id " + shown(token) + " is not a number" + header, "; specdnn.community.oslom takes names");
  }

  std::string where(std::size_t line) const { return name_ + " line " + std::to_string(line); }
  [[noreturn]] void fail(const std::string& sentence) const { throw Error(where(line_) + ": " + sentence); }
  [[noreturn]] void fail_id(const std::string& sentence, const std::string& way_out = "") const {
    fail(sentence + "; ids are whole numbers from 0 to 9223372036854775807" + way_out);
  }

  std::string name_, kind_;
  std::size_t line_ = 0;
  std::vector<std::string> tokens_;

 private:
  // What stands before a word: a comma or a semicolon, else blanks; and how many cells end there.
  struct Gap {
    char kind = ' ';
    std::size_t cells = 0;
  };

  struct Start {
    const char *bytes, *sentence;
  };

  static constexpr Start no_text[] = {{"\xFF\xFE", "UTF-16; save it as UTF-8"},
                                      {"\xFE\xFF", "UTF-16; save it as UTF-8"},
                                      {"\x1F\x8B", "a gzip archive; unpack it first"},
                                      {"PK\x03\x04", "a zip archive; unpack it first"},
                                      {"BZh", "a bzip2 archive; unpack it first"},
                                      {"\xFD"
                                       "7zXZ",
                                       "an xz archive; unpack it first"},
                                      {"\x28\xB5\x2F\xFD", "a zstd archive; unpack it first"}};
  static constexpr const char* no_empty_cells =
      "; cells are separated by a single tab, comma or semicolon, or by blanks, and none may be empty";

  static bool starts(const std::string& text, const std::string& start) {
    return text.compare(0, start.size(), start) == 0;
  }

  // The first bytes of the file: what is no text can be told from them.
  void take_start(std::string& text) {
    for (const Start& start : no_text)
      if (starts(text, start.bytes))
        throw Error(where(1) + ": " + shown(start.bytes) + " is the start of " + start.sentence);
    if (text.find('\0') < 2)
      throw Error(where(1) + ": " + shown(text.substr(0, 2)) + " is the start of UTF-16; save it as UTF-8");
    if (starts(text, "\xEF\xBB\xBF")) text.erase(0, 3);
  }

  static bool separates(char c) { return c == ' ' || c == '\t' || c == ',' || c == ';' || c == '\v' || c == '\f'; }

  static Gap gap_at(const std::string& line, std::size_t& at, std::size_t end) {
    Gap gap;
    for (; at < end && separates(line[at]); ++at) {
      const bool mark = line[at] == ',' || line[at] == ';';
      if (mark && gap.kind == ' ') gap = {line[at], 1};
      else if (mark || (line[at] == '\t' && gap.kind == ' ')) ++gap.cells;
    }
    return gap;
  }

  // Before the last word so far; `kind` is that of the gaps between the words before it.
  void check_gap(const Gap& gap, char& kind) const {
    const std::size_t count = tokens_.size();
    if (gap.cells > (count > 1 ? 1 : 0)) fail("an empty cell before " + shown(tokens_.back()) + no_empty_cells);
    if (count > 2 && gap.kind != kind)
      fail(shown(tokens_[count - 2] + gap.kind + tokens_.back()) +
           " is separated otherwise than the words before it; " +
           "use one separator on a line, and a point in decimals such as 1.5");
    kind = gap.kind;
  }

  std::size_t first_words_ = 0;  // the first line that is neither empty nor a comment
};

}  // namespace oslom

#endif  // OSLOM_LINE_READER_H
