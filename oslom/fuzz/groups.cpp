// Fuzz target: any bytes as a file of groups, for -hint and for -load. What is accepted holds vertices of the
// graph, sorted, and is the same after writing and reading; what is refused gets one sentence.
#include <cstdlib>
#include <sstream>

#include "partition_reader.h"
#include "require.h"
#include "tp_file.h"

namespace {

using namespace oslom;

const Ids ids{0, 1, 2, 5, 7, 11, 100, 9007199254740993, 9223372036854775807};

void require_group(const Members& members) {
  require(!members.empty() && members.front() >= 0, "groups are not empty");
  require(static_cast<std::size_t>(members.back()) < ids.size(), "members are vertices");
  for (std::size_t i = 1; i < members.size(); ++i) require(members[i - 1] < members[i], "members increase");
}

PartitionReader reader() { return PartitionReader("p", "file", ids); }

void require_warnings(const PartitionReader& reader) {
  require(reader.warnings().size() <= 1, "one warning at most");
  for (const std::string& warning : reader.warnings()) require_one_sentence(warning);
}

void check_hint(const std::string& text) {
  PartitionReader first = reader(), second = reader();
  const std::vector<Members> groups = first.read_hint(std::istringstream(text));
  require_warnings(first);
  std::string written;
  for (const Members& members : groups) {
    require_group(members);
    for (Vertex v : members) written += std::to_string(ids[v]) + " ";
    written += "\n";
  }
  require(second.read_hint(std::istringstream(written)) == groups, "groups are read again");
  require(second.warnings().empty(), "all ids are known");
}

double as_written(double probability) { return std::strtod(six_digits(probability).c_str(), nullptr); }

void check_tp(const std::string& text) {
  PartitionReader first = reader();
  const Modules modules = first.read_tp(std::istringstream(text));
  require_warnings(first);
  Modules kept;  // six digits of a bs just below 1 are 1: left out when read again
  for (const Module& module : modules) {
    require_group(module.members);
    require(module.probability >= 0 && module.probability < 1, "bs is a probability");
    if (as_written(module.probability) < 1) kept.push_back(module);
  }
  const Modules again = reader().read_tp(std::istringstream(tp_text(modules, ids)));
  require(again.size() == kept.size(), "modules are read again");
  for (std::size_t i = 0; i < again.size(); ++i) {
    require(again[i].members == kept[i].members, "members are kept");
    require(again[i].probability == as_written(kept[i].probability), "six digits of bs are kept");
  }
}

template <typename Check>
void one_sentence_or(Check check, const std::string& text) {
  try {
    check(text);
  } catch (const Error& error) {
    require_one_sentence(error.what());
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  one_sentence_or(check_hint, text);
  one_sentence_or(check_tp, text);
  return 0;
}
