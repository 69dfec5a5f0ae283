// Groups of vertices from a file, for -hint and -load (README.md, "Command line").
//
// hint: one group per line, ids separated like those of an edge file; `#` starts a comment.
// load: the tp format. A header "#module N size: S bs: B" (or #group), then a line with S ids. Other
// lines that start with `#` are comments. Groups with bs >= 1 are left out.
// Ids that are not in the graph are skipped with one warning. Anything else is an error.
#ifndef OSLOM_PARTITION_READER_H
#define OSLOM_PARTITION_READER_H

#include <algorithm>
#include <string>
#include <vector>

#include "line_reader.h"
#include "module.h"

namespace oslom {

class PartitionReader : private LineReader {
 public:
  // `ids` of the graph's vertices, increasing.
  PartitionReader(std::string name, std::string kind, const std::vector<std::int64_t>& ids)
      : LineReader(std::move(name), std::move(kind)), ids_(ids) {}

  std::vector<Members> read_hint() { return read_hint(open_file()); }
  Modules read_tp() { return read_tp(open_file()); }

  std::vector<Members> read_hint(std::istream&& text) {
    std::vector<Members> groups;
    for_each_line(text, [&](const std::string& line) {
      split(line);
      Members members = members_of_line();
      if (!members.empty()) groups.push_back(std::move(members));
    });
    return groups;
  }

  Modules read_tp(std::istream&& text) {
    Modules modules;
    for_each_line(text, [&](const std::string& line) { read_tp_line(line, modules); });
    if (in_module_) throw Error(where(line_) + ": the file ends before the vertices of the last module");
    return modules;
  }

  // At most one sentence.
  std::vector<std::string> warnings() const {
    if (unknown_ == 0) return {};
    return {where(first_line_) + ": vertex " + std::to_string(first_unknown_) +
            " is not in the graph and is skipped (" + counted(unknown_, "unknown id", "unknown ids") + " in the file)"};
  }

 private:
  void read_tp_line(const std::string& line, Modules& modules) {
    if (line.compare(0, 7, "#module") == 0 || line.compare(0, 6, "#group") == 0) return read_header(line);
    split(line);
    if (tokens_.empty()) return;
    if (!in_module_)
      fail("vertices without a header; every module needs the line \"#module N size: S bs: B\" before it");
    if (tokens_.size() != size_)
      fail(counted(tokens_.size(), "vertex", "vertices") +
           " under a header that says \"size: " + std::to_string(size_) + "\"; is the line complete?");
    Members members = members_of_line();
    in_module_ = false;
    if (!members.empty() && probability_ < 1) modules.push_back({std::move(members), probability_});
  }

  void read_header(const std::string& line) {
    if (in_module_) fail("a module must have a line with its vertices before the next header");
    split(line, 1);
    if (tokens_.size() < 6)
      fail("the header of a module has six words, \"#module N size: S bs: B\", here are " +
           std::to_string(tokens_.size()));
    std::int64_t size = 0;
    if (read_whole(tokens_[3], size) != WholeNumber::good)
      fail("size " + shown(tokens_[3]) + " is not a number of vertices");
    size_ = static_cast<std::size_t>(size);
    if (!read_real(tokens_[5], probability_) || probability_ < 0)
      fail("bs " + shown(tokens_[5]) + " is not a number from 0 on");
    in_module_ = true;
  }

  Members members_of_line() {
    Members members;
    for (const std::string& token : tokens_) {
      const std::int64_t id = vertex_id(token);
      const auto found = std::lower_bound(ids_.begin(), ids_.end(), id);
      if (found != ids_.end() && *found == id) members.push_back(static_cast<Vertex>(found - ids_.begin()));
      else if (unknown_++ == 0) first_unknown_ = id, first_line_ = line_;
    }
    std::sort(members.begin(), members.end());
    members.erase(std::unique(members.begin(), members.end()), members.end());
    return members;
  }

  const std::vector<std::int64_t>& ids_;
  bool in_module_ = false;
  std::size_t size_ = 0;  // of the module, as its header says
  double probability_ = 1;
  std::size_t unknown_ = 0, first_line_ = 0;
  std::int64_t first_unknown_ = 0;
};

}  // namespace oslom

#endif  // OSLOM_PARTITION_READER_H
