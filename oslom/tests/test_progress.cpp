#include <chrono>
#include <sstream>
#include <thread>

#include "doctest/doctest.h"
#include "progress.h"
#include "says.h"

using namespace oslom;

TEST_CASE("runs are counted on one line for each level; a shorter line hides the longer one") {
  std::ostringstream out;
  {
    ProgressLine line(out, std::chrono::hours(1));
    line.run_done(0, 9, 10);
    line.run_done(0, 10, 10);
    line.run_done(1, 0, 5);
  }
  CHECK(out.str() == "\rlevel 0: run 9 of 10\rlevel 0: run 10 of 10\n\rlevel 1: run 0 of 5\n");
}

TEST_CASE("a run that lasts shows its parts and its seconds, a quick one does not") {
  std::ostringstream out;
  {
    ProgressLine line(out, std::chrono::milliseconds(20));
    line.run_done(0, 0, 1);
    line.part_done(7, 300);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    line.run_done(0, 1, 1);
  }
  CHECK(says(out.str(), "\rlevel 0: run 0 of 1\rlevel 0: run 0 of 1, part 7 of 300, 0 s\r"));
  CHECK(says(out.str(), "\rlevel 0: run 1 of 1                    \n"));
  std::ostringstream silent;
  ProgressLine(silent, std::chrono::milliseconds(1));
  CHECK(silent.str().empty());
}
