#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "doctest/doctest.h"
#include "example_graphs.h"
#include "options.h"
#include "output_folder.h"
#include "says.h"
#include "tp_file.h"

using namespace oslom;

namespace {

namespace fs = std::filesystem;

struct TemporaryFolder {
  TemporaryFolder() {
    char name[] = "/tmp/oslom test XXXXXX";
    path = mkdtemp(name);
  }
  ~TemporaryFolder() { fs::remove_all(path); }
  std::string path;
};

std::string content(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string usage_error(const std::vector<std::string>& arguments) {
  try {
    OptionReader(arguments).read();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("the tp format") {
  const Modules modules{{{0, 2}, 0.000624676123}, {{1}, 1}};
  CHECK(tp_text(modules, {0, 11, 115}) == "#module 0 size: 2 bs: 0.000624676\n0 115 \n#module 1 size: 1 bs: 1\n11 \n");
  CHECK(six_digits(5.64676e-05) == "5.64676e-05");
}

TEST_CASE("statistics of a cover; nothing to average gives 0") {
  const Graph graph = ring_of_cliques(2, 3);
  const Modules modules{{range(0, 3), 0.1}, {{2, 3}, 0.1}, {{4}, 1}, {{5}, 1}};
  CHECK(statistics_text(graph, modules) ==
        "number of modules: 2\nnumber of covered nodes: 4 fraction of homeless nodes: 0.333333\n"
        "average number of memberships of covered nodes: 1.25\naverage community size: 2.5\n"
        "average degree of homeless nodes: 2.5 dev: 0.5\n");
  CHECK(says(statistics_text(graph, {}), "average community size: 0\n"));
}

TEST_CASE("scores: one line per member under the header of its module") {
  const Modules modules{{{0, 2}, 0.01}, {{1}, 1}};
  CHECK(scores_text(modules, {{0.5, 1.23456789e-7}, {1}}, {0, 11, 115}) ==
        "#module 0 size: 2 bs: 0.01\n0 0.5\n115 1.23457e-07\n#module 1 size: 1 bs: 1\n11 1\n");
}

TEST_CASE("the output folder is made, replaced, and left without temporary files") {
  TemporaryFolder folder;
  OutputFolder first(folder.path + "/g_oslo_files"), second(folder.path + "/g_oslo_files/");
  first.add("tp", "old");
  first.add("tp1", "left over from more levels");
  first.write();
  second.add("tp", "new");
  second.check();
  second.write();
  CHECK(content(folder.path + "/g_oslo_files/tp") == "new");
  CHECK(std::distance(fs::directory_iterator(folder.path + "/g_oslo_files"), {}) == 1);
}

TEST_CASE("a folder with anything else in it is not touched") {
  for (const char* name : {"thesis.tex", "tpx", "net", "statistics_level_0", "subfolder/"}) {
    CAPTURE(name);
    TemporaryFolder folder;
    const std::string path = folder.path + "/g_oslo_files";
    fs::create_directory(path);
    if (std::string(name).back() == '/') fs::create_directory(path + "/" + name);
    else std::ofstream(path + "/" + name) << "precious";
    OutputFolder output(path);
    output.add("tp", "x");
    CHECK_THROWS_AS(output.check(), Error);
    CHECK_THROWS_AS(output.write(), Error);
    CHECK_FALSE(fs::exists(path + "/tp"));
  }
}

TEST_CASE("an input in the folder, under whatever name, is not replaced") {
  TemporaryFolder folder;
  const std::string out = folder.path + "/o";
  fs::create_directory(out);
  std::ofstream(out + "/net9") << "precious";
  fs::create_symlink(out + "/net9", folder.path + "/link");
  fs::create_hard_link(out + "/net9", folder.path + "/other");
  for (const char* input : {"/o/net9", "/o/../o//net9", "/link", "/other"}) {
    CAPTURE(input);
    OutputFolder output(out, {"", folder.path + input});
    output.add("tp", "x");
    CHECK_THROWS_AS(output.check(), Error);
    CHECK_THROWS_AS(output.write(), Error);
    CHECK(content(out + "/net9") == "precious");
    CHECK_FALSE(fs::exists(out + "/tp"));
  }
}

TEST_CASE("what a killed run has left is cleared away, not written into") {
  TemporaryFolder folder;
  std::ofstream(folder.path + "/kept") << "precious";
  const std::string out = folder.path + "/o";
  fs::create_directory(out);
  fs::create_hard_link(folder.path + "/kept", out + "/tp.tmp");
  std::ofstream(out + "/tp7.tmp") << "left over";
  OutputFolder output(out);
  output.add("tp", "new");
  output.write();
  CHECK(content(folder.path + "/kept") == "precious");
  CHECK(std::distance(fs::directory_iterator(out), {}) == 1);
}

TEST_CASE("beside devices there is no place for a folder, beside files anywhere else there is") {
  for (const char* device : {"/dev/stdin", "/dev/fd/63", "/proc/self/fd/0", "/dev/../dev/stdin"}) {
    CAPTURE(device);
    CHECK_THROWS_AS(folder_beside(device), Error);
  }
  for (const char* file : {"g", "./g", "/dev/shm/g", "/development", "/no/such/g"})
    CHECK(folder_beside(file) == file + std::string("_oslo_files"));
}

TEST_CASE("a folder that cannot be made is refused before the work") {
  TemporaryFolder folder;
  const auto refusal = [](const std::string& path) {
    try {
      OutputFolder(path).check();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  std::ofstream(folder.path + "/file") << "x";
  CHECK(says(refusal(folder.path + "/none/o"), folder.path + "/none/o: No such file or directory"));
  CHECK(says(refusal(folder.path + "/file/o"), "Not a directory"));
  CHECK(says(refusal(folder.path + "/" + std::string(256, 'x')), "too long"));
  CHECK(refusal(folder.path + "/" + std::string(255, 'x')) == "no error");
  fs::create_symlink("nowhere", folder.path + "/dangling");
  fs::create_symlink("loop", folder.path + "/loop");
  CHECK(says(refusal(folder.path + "/dangling"), "leads nowhere"));
  CHECK(says(refusal(folder.path + "/loop/"), "leads nowhere"));
  std::string deep = folder.path;
  while (deep.size() < 4080) deep += "/" + std::string(std::min<std::size_t>(200, 4080 - deep.size()), 'd');
  CHECK(says(refusal(deep), "too long"));  // the folder could be there, its files could not
}

TEST_CASE("pieces of input in messages are short and printable") {
  CHECK(shown("a\x1B[31m\xFF") == "\"a\\x1B[31m\\xFF\"");
  CHECK(shown(std::string(1000, 'a')).size() < 50);
}

TEST_CASE("names of our own files, finished or not") {
  for (const char* name : {"tp", "tp1", "tp12", "short_tp1", "net3", "tp_without_singletons", "tp_scores",
                           "partitions_level_0", "statistics_level_2.dat", "tp.tmp"})
    CHECK(OutputFolder::known_name(name));
  for (const char* name :
       {"", "tpa", "net", "short_tp", "partitions_level_", "partitions_level_0.dat", "a.tmp", "time_seed.dat"})
    CHECK_FALSE(OutputFolder::known_name(name));
}

TEST_CASE("options: defaults, any order, the last one wins") {
  const Options plain = OptionReader({"-f", "g", "-uw"}).read();
  CHECK(plain.runs == 10);
  CHECK(plain.seed == 21111983);
  CHECK(plain.tolerance == 0.1);
  CHECK(plain.parts_cover == 0.5);
  CHECK_FALSE(plain.weighted);
  CHECK(plain.higher_runs == 50);
  CHECK(plain.threads == 0);
  CHECK_FALSE(plain.quiet);
  const Options rich = OptionReader({"-seed", "5", "-w", "-r", "3", "-uw", "-r", "4", "-w", "-f", "a", "-singlet", "-t",
                                     "0.2", "-cp", "1", "-hr", "0"})
                           .read();
  CHECK(rich.weighted);
  CHECK(rich.runs == 4);
  CHECK(rich.seed == 5);
  CHECK(rich.keep_homeless);
  CHECK(rich.higher_runs == 0);
  CHECK(OptionReader({"-h"}).read().help);
  CHECK(OptionReader({"-f", "-", "-w"}).read().edge_file == "/dev/stdin");
  CHECK(OptionReader({"-f", "./-w", "-w"}).read().edge_file == "./-w");
  CHECK(OptionReader({"-fast", "-r", "7", "-f", "g", "-w"}).read().runs == 1);
}

TEST_CASE("options: every mistake is named") {
  CHECK(says(usage_error({"-f"}), "-f needs a value"));
  CHECK(says(usage_error({"-uw"}), "-f FILE"));
  CHECK(says(usage_error({"-f", "g"}), "-w"));
  CHECK(says(usage_error({"-f", "g", "-w", "-q"}), "\"-q\""));
  CHECK(says(usage_error({"-f", "g", "-w", "-r", "-1"}), "\"-1\""));
  CHECK(says(usage_error({"-f", "g", "-w", "-r", "2.5"}), "whole number from 0"));
  CHECK(says(usage_error({"-f", "g", "-w", "-seed", "0"}), "from 1 to 2147483399"));
  CHECK(says(usage_error({"-f", "g", "-w", "-t", "1.5"}), "from 0 to 1"));
  CHECK(says(usage_error({"-f", "g", "-w", "-cp", "half"}), "\"half\""));
  CHECK(says(usage_error({"-f", "g", "-w", "-threads", "0"}), "from 1 to 4096"));
  CHECK(says(usage_error({"-f", "g", "-w", "-out", ""}), "-out needs a value"));
  for (const char* flag : {"-f", "-hint", "-load", "-out", "-r", "-t"})
    CHECK(says(usage_error({flag, "-singlet"}), std::string(flag) + " needs a value, got the option -singlet"));
  for (const char* flag : {"-r", "-hr", "-louvain"})
    CHECK(says(usage_error({"-f", "g", "-w", flag, "100001"}), "whole number from 0 to 100000, got \"100001\""));
  for (const char* external : {"-infomap", "-copra"}) {
    CHECK(says(usage_error({"-f", "g", "-w", external, "1"}), "not supported"));
    CHECK(usage_error({"-f", "g", "-w", external, "0"}) == "no error");
  }
}

TEST_CASE("graphs of modules in net format") {
  CHECK(net_text(graph_of(3, {{0, 1, 4, 1.0}, {0, 2, 1, 1.0}})) == "0\t1\t4\n0\t2\t1\n");
  CHECK(net_text(graph_of(3, {{1, 2, 4, 2.25}}, true)) == "1\t2\t2.25\t4\t\n");
}

TEST_CASE("two writers at once: the folder is one's or the other's, never a mixture") {
  TemporaryFolder folder;
  for (int trial = 0; trial < 20; ++trial) {
    const auto writer = [&](char letter) {
      OutputFolder output(folder.path + "/both");
      for (const char* name : {"tp", "tp1", "tp_scores", "net1"}) output.add(name, std::string(100000, letter));
      if (letter == 'b') output.add("tp2", "b");
      output.write();
    };
    std::thread first(writer, 'a'), second(writer, 'b');
    first.join();
    second.join();
    const std::string winner = content(folder.path + "/both/tp");
    REQUIRE(winner.size() == 100000);
    for (const char* name : {"tp1", "tp_scores", "net1"}) REQUIRE(content(folder.path + "/both/" + name) == winner);
    REQUIRE(fs::exists(folder.path + "/both/tp2") == (winner[0] == 'b'));
  }
}
