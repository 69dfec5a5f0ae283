#include <sstream>

#include "doctest/doctest.h"
#include "partition_reader.h"
#include "says.h"

using namespace oslom;

namespace {

const std::vector<std::int64_t> ids{2, 5, 7, 11};

std::string tp_error(const std::string& text) {
  try {
    PartitionReader("old.tp", "file to load", ids).read_tp(std::istringstream(text));
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("hint: one group per line, any one separator, unknown ids skipped with one warning") {
  PartitionReader reader("hint.txt", "hint file", ids);
  const std::vector<Members> groups =
      reader.read_hint(std::istringstream("\xEF\xBB\xBF"
                                          "5,2,\t5\r\n\n# a comment\n99 98\n11 7 3 # three\n"));
  CHECK(groups == std::vector<Members>{{0, 1}, {2, 3}});
  REQUIRE(reader.warnings().size() == 1);
  CHECK(says(reader.warnings()[0], "hint.txt line 4: vertex 99"));
  CHECK(says(reader.warnings()[0], "3 unknown"));
}

TEST_CASE("hint: anything but ids is an error with its line") {
  for (const char* line : {"2 x", "2 -5", "2 1.5", "2 1e400", "2,,5", "2 5,7"}) {
    PartitionReader reader("hint.txt", "hint file", ids);
    try {
      reader.read_hint(std::istringstream(std::string("2 5\n") + line + "\n"));
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(says(error.what(), "hint.txt line 2: "));
    }
  }
  CHECK_THROWS_AS(PartitionReader("/no/such/file", "hint file", ids).read_hint(), Error);
}

TEST_CASE("load: headers of modules and groups, bs kept with its group, bs >= 1 left out") {
  PartitionReader reader("old.tp", "file to load", ids);
  const Modules modules =
      reader.read_tp(std::istringstream("#module 0 size: 1 bs: 0.5\n99 \n#group 1 size: 2 bs: 1e-3\n5 2 \n# "
                                        "comment\n\n#module 2 size: 1 bs: 1\n7 \n#module 3 size: 2 bs: 0\n7 11 \n"));
  REQUIRE(modules.size() == 2);
  CHECK(modules[0].members == Members{0, 1});
  CHECK(modules[0].probability == 0.001);
  CHECK(modules[1].members == Members{2, 3});
  CHECK(reader.warnings().size() == 1);
}

TEST_CASE("load: malformed files are errors with their line") {
  CHECK(says(tp_error("2 5\n"), "old.tp line 1: vertices without a header"));
  CHECK(says(tp_error("#module 0 size: 2 bs:\n2 5\n"), "line 1: the header"));
  CHECK(says(tp_error("#module 0 size: 99 bs: 0.1\n2 5 7\n"),
             "line 2: 3 vertices under a header that says \"size: 99\""));
  CHECK(says(tp_error("#module 0 size: 0 bs: 0.1\n2\n"), "line 2: 1 vertex under"));
  CHECK(says(tp_error("#module 0 size: big bs: 0.1\n2 5\n"), "line 1: size \"big\""));
  CHECK(says(tp_error("#module 0 size: 2 bs: nan\n2 5\n"), "line 1: bs \"nan\""));
  CHECK(says(tp_error("#module 0 size: 2 bs: -1\n2 5\n"), "line 1: bs \"-1\""));
  CHECK(says(tp_error("#module 0 size: 2 bs: 0.1\n#module 1 size: 2 bs: 0.1\n2 5\n"), "line 2: "));
  CHECK(says(tp_error("#module 0 size: 2 bs: 0.1\n2 a\n"), "line 2: vertex id \"a\""));
  CHECK(says(tp_error("#module 0 size: 2 bs: 0.1\n"), "line 1: the file ends"));
  CHECK(tp_error("") == "no error");
}
