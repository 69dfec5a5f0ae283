#include <sstream>
#include <string>

#include "doctest/doctest.h"
#include "edge_reader.h"
#include "says.h"

using namespace oslom;
using doctest::Approx;

namespace {

InputGraph read(const std::string& text, bool weighted = false) {
  return EdgeReader("g.edges", weighted).read(std::istringstream(text));
}

std::string sentence(const std::string& text, bool weighted = false) {
  try {
    read(text, weighted);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("the same tiny graph in every spelling") {
  for (const char* text : {"1 2\n2 3\n", "1 2\n2 3", "1\t2\n2\t3\n", "1,2\n2;3\n", "1 2\r\n2 3\r\n", "1 2\r2 3\r",
                           "1\t2\t\n2,3,\n", "1 \t 2\n2 ,\t3 , # c\n", "\t\n1;2\n,,\n2; 3",
                           "\xEF\xBB\xBF"
                           "1 2\n2 3\n",
                           "# comment\n1 2\n\n   \n2 3 # another\n", "3 2\n2 1\n1 2\n", "1.0 2e0\n+2 3.000e+00\n",
                           "  # c\n 1  2\n2 3\n"}) {
    CAPTURE(text);
    const InputGraph input = read(text);
    CHECK(input.ids == std::vector<std::int64_t>{1, 2, 3});
    CHECK(input.graph.num_edges() == 2);
    CHECK(input.graph.degree(1) == 2);
    CHECK(input.warnings.empty());
  }
}

TEST_CASE("ids of 64 bits") {
  const InputGraph input = read("9223372036854775807 0\n4294967296 0\n");
  CHECK(input.ids == std::vector<std::int64_t>{0, 4294967296, 9223372036854775807});
}

TEST_CASE("columns of the unweighted and the weighted format") {
  const InputGraph multigraph = read("1 2 3\n2 3 1.0 0.4\n");
  CHECK(multigraph.graph.degree(0) == 3);
  CHECK(multigraph.graph.degree(2) == 1);
  CHECK(read("1 2 1\n2 3 1.0\n").warnings.empty());
  const InputGraph weighted = read("1 2 2.5\n2 3 0.5 4\n1 3\n", true);
  CHECK(weighted.graph.strength(0) == Approx(3.5));
  CHECK(weighted.graph.degree(2) == 5);
}

TEST_CASE("how a column of parallel edges is read is said once, with its extent") {
  const InputGraph dated = read("1 2 0.5 1\n2 3 0.5 1700000000\n1 3 2 1700000300\n", true);
  REQUIRE(dated.warnings.size() == 1);
  CHECK(says(dated.warnings[0], "g.edges line 2: the fourth column is read as the number of parallel edges"));
  CHECK(says(dated.warnings[0], "2 lines, at most 1700000300"));
  const InputGraph counts = read("1 2 7\n2 3\n");
  REQUIRE(counts.warnings.size() == 1);
  CHECK(says(counts.warnings[0], "line 1: the third column"));
  CHECK(says(counts.warnings[0], "1 line, at most 7; use -w"));
}

TEST_CASE("an edge of weight 0 is none: it creates its vertices, and the next line of the pair counts") {
  const InputGraph input = read("1 2 0\n2 3 1\n2 1 4\n8 9 0.0\n3 3 0\n", true);
  CHECK(input.ids == std::vector<std::int64_t>{1, 2, 3, 8, 9});
  CHECK(input.graph.num_edges() == 2);
  CHECK(input.graph.strength(0) == Approx(4));
  REQUIRE(input.warnings.size() == 1);
  CHECK(says(input.warnings[0], "g.edges line 1"));
  CHECK(says(input.warnings[0], "3 such lines"));
  CHECK(says(sentence("1 2 0\n", true), "no edge between two different vertices and of a weight larger than 0"));
}

TEST_CASE("empty cells and mixed separators are refused: values would change their column") {
  for (const char* line :
       {"1,,5", "1\t\t5", "1;;5", "1 , , 5", "1\t \t5", "1,2,,5", ",1,2", "\t1\t2", "1,2,,", "1,2;,3"}) {
    CAPTURE(line);
    const std::string message = sentence("7 8\n" + std::string(line) + "\n", true);
    CHECK(says(message, "g.edges line 2: an empty cell "));
    CHECK(says(message, "\""));
  }
  CHECK(says(sentence("1;2;1,5\n", true), "line 1: \"1,5\" is separated otherwise"));
  CHECK(says(sentence("1 2 1,5\n", true), "line 1: \"1,5\" is separated otherwise"));
  CHECK(says(sentence("1,2\t3\n", true), "point in decimals such as 1.5"));
}

TEST_CASE("files that are no text are named by their first bytes") {
  const std::string zero(1, '\0');
  CHECK(
      says(sentence("\x1F\x8B\x08"), "g.edges line 1: \"\\x1F\\x8B\" is the start of a gzip archive; unpack it first"));
  CHECK(says(sentence("PK\x03\x04..."), "zip archive; unpack"));
  CHECK(says(sentence("BZh91AY"), "bzip2 archive; unpack"));
  CHECK(says(sentence("\xFD"
                      "7zXZ" +
                      zero),
             "xz archive; unpack"));
  CHECK(says(sentence("\x28\xB5\x2F\xFD"), "zstd archive; unpack"));
  CHECK(says(sentence("\xFF\xFE"
                      "1" +
                      zero),
             "UTF-16; save it as UTF-8"));
  CHECK(says(sentence("1" + zero + " " + zero), "UTF-16; save it as UTF-8"));
  CHECK(says(sentence(zero + "1" + zero + " "), "UTF-16; save it as UTF-8"));
}

TEST_CASE("words instead of ids: a header line in the first line, names anywhere") {
  CHECK(says(sentence("# c\n\nsource target\n1 2\n"),
             "line 3: vertex id \"source\" is not a number (a header line? start it with #)"));
  const std::string later = sentence("1 2\nann bob\n");
  CHECK_FALSE(says(later, "header"));
  CHECK(says(later, "specdnn.community.oslom takes names"));
}

TEST_CASE("the smallest and the largest weights together leave finite links") {
  const InputGraph input = read("1 2 1e150\n2 3 1e-150\n3 4 1e150\n4 1 1e-150\n", true);
  for (Vertex v = 0; v < 4; ++v)
    for (auto link = input.graph.first_link(v); link < input.graph.end_link(v); ++link) {
      const Links links = input.graph.links_of_source(link);
      CHECK(nearly_equal(links, links));
    }
}

TEST_CASE("a line of a million characters: blanks, a comment, columns, and an id of a million digits") {
  const std::size_t long_line = 1000000;
  CHECK(read("1 2" + std::string(long_line, ' ') + "\n2 3 #" + std::string(long_line, 'x')).graph.num_edges() == 2);
  std::string columns;
  for (std::size_t i = 0; i < long_line; i += 2) columns += " 1";
  CHECK(says(sentence("1 2" + columns + "\n"), "500002 columns"));
  const std::string message = sentence("1 2\n" + std::string(long_line, '7') + " 3\n");
  CHECK(says(message, "g.edges line 2: "));
  CHECK(message.size() < 200);
}

TEST_CASE("of repeated edges the first counts; another weight is worth a warning") {
  const InputGraph input = read("1 2 2.0\n2 1 2.0\n1 2 3.0\n2 3 1\n", true);
  CHECK(input.graph.num_edges() == 2);
  CHECK(input.graph.strength(0) == Approx(2));
  REQUIRE(input.warnings.size() == 1);
  CHECK(says(input.warnings[0], "g.edges line 3"));
  CHECK(says(input.warnings[0], "line 1"));
}

TEST_CASE("self loops create their vertex and no edge") {
  const InputGraph input = read("1 1\n2 3\n");
  CHECK(input.ids.size() == 3);
  CHECK(input.graph.degree(0) == 0);
}

TEST_CASE("every bad line is named with its number, its value and what would be right") {
  struct Bad {
    const char* line;
    bool weighted;
    const char *value, *right;
  };
  const Bad lines[] = {{"7", false, "\"7\"", "two vertex ids"},
                       {"-1 2", false, "\"-1\" is negative", "0 to 9223372036854775807"},
                       {"1.5 2", false, "\"1.5\" is not a whole number", "whole numbers"},
                       {"1 9223372036854775808", false, "too large", "9223372036854775807"},
                       {"1e300 2", false, "too large", "whole numbers"},
                       {"nan 2", false, "\"nan\" is not a number", "whole numbers"},
                       {"1 inf", false, "\"inf\"", "whole numbers"},
                       {"a b", false, "\"a\"", "whole numbers"},
                       {"n12 3", false, "\"n12\"", "whole numbers"},
                       {"0x10 3", false, "\"0x10\"", "whole numbers"},
                       {"1 2 x", false, "\"x\"", "finite number"},
                       {"1 2 nan", true, "\"nan\"", "finite number"},
                       {"1 2 1e999", true, "\"1e999\"", "finite number"},
                       {"1 2 3 4 5", true, "5 columns, from the fifth on \"5\"", "at most two numbers"},
                       {"1 2 3 4 5 6 7", false, "7 columns, from the fifth on \"5\"", "two vertex ids"},
                       {"1 2 0.5", false, "\"0.5\" is not a positive whole number", "use -w for weights, or remove"},
                       {"1 2 0", false, "\"0\" is not a positive whole number", "use -w"},
                       {"1 2 -3", false, "\"-3\" is not a positive whole number", "use -w"},
                       {"1 2 1 2.5", true, "\"2.5\" is not a positive whole number", "fourth column"},
                       {"1 2 1 9007199254740993", true, "\"9007199254740993\" is too large", "2^53"},
                       {"1 2 -0.3", true, "\"-0.3\"", "larger than 0"},
                       {"1 2 1e-200", true, "1e-200", "between"},
                       {"1 2 5e-324", true, "5e-324", "between 1e-150 and 1e150"},
                       {"1 2 1e308", true, "1e308", "between 1e-150 and 1e150"},
                       {"1 2 -inf", true, "\"-inf\"", "finite number"},
                       {"\xFF\xFE"
                        "1 2",
                        false, "\"\\xFF\\xFE1\"", "whole numbers"},
                       {"1 2 1 1e300", true, "too large", "2^53"},
                       {"1 2 1 z", true, "\"z\"", "finite number"}};
  for (const Bad& bad : lines) {
    CAPTURE(bad.line);
    const std::string message = sentence("1 2\n# comment\n" + std::string(bad.line) + "\n3 4\n", bad.weighted);
    CHECK(says(message, "g.edges line 3: "));
    CHECK(says(message, bad.value));
    CHECK(says(message, bad.right));
  }
}

TEST_CASE("a file without an edge, a missing file and a folder are errors") {
  CHECK(says(sentence(""), "no edge"));
  CHECK(says(sentence("# nothing\n"), "no edge"));
  CHECK(says(sentence("1 1\n"), "no edge"));
  CHECK_THROWS_AS(EdgeReader("/no/such/file", false).read_file(), Error);
  CHECK_THROWS_AS(EdgeReader(".", false).read_file(), Error);
}
