// Progress on a terminal: one line for each level, written over again and again. What lasts longer shows that it goes
// on: the seconds since the last run ended, and of a single run the parts of the step it is at.
#ifndef OSLOM_PROGRESS_H
#define OSLOM_PROGRESS_H

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <ostream>
#include <string>
#include <system_error>
#include <thread>

namespace oslom {

class ProgressLine {
 public:
  using Clock = std::chrono::steady_clock;

  // Waits so long between two looks at the clock, twice as long before it shows seconds.
  explicit ProgressLine(std::ostream& out, Clock::duration wait = std::chrono::seconds(1)) : out_(out), wait_(wait) {
    try {
      clock_ = std::thread([this] { watch_clock(); });
    } catch (const std::system_error&) {  // no thread to be had: runs are counted all the same
    }
  }
  ~ProgressLine() {
    {
      const std::lock_guard<std::mutex> lock(guard_);
      ended_ = true;
    }
    wake_.notify_all();
    if (clock_.joinable()) clock_.join();
    if (!shown_.empty()) out_ << "\n" << std::flush;
  }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // From any thread: before the first run of a level (done = 0), and after every run.
  void run_done(std::int64_t level, std::int64_t done, std::int64_t runs) {
    const std::lock_guard<std::mutex> lock(guard_);
    if (level != level_ && !shown_.empty()) out_ << "\n", shown_.clear();
    level_ = level;
    run_ = "level " + std::to_string(level) + ": run " + std::to_string(done) + " of " + std::to_string(runs);
    parts_.clear();
    since_ = Clock::now();
    show(run_);
  }

  void part_done(std::int64_t done, std::int64_t parts) {
    const std::lock_guard<std::mutex> lock(guard_);
    parts_ = ", part " + std::to_string(done) + " of " + std::to_string(parts);
  }

 private:
  void watch_clock() {
    std::unique_lock<std::mutex> lock(guard_);
    while (!wake_.wait_for(lock, wait_, [this] { return ended_; })) {
      const Clock::duration passed = Clock::now() - since_;
      const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(passed).count();
      if (!run_.empty() && passed >= 2 * wait_) show(run_ + parts_ + ", " + std::to_string(seconds) + " s");
    }
  }

  // Blanks hide the end of a longer line.
  void show(std::string line) {
    const std::size_t length = line.size();
    if (length < shown_.size()) line.append(shown_.size() - length, ' ');
    out_ << "\r" << line << std::flush;
    shown_ = line.substr(0, length);
  }

  std::ostream& out_;
  const Clock::duration wait_;
  std::mutex guard_;
  std::condition_variable wake_;
  bool ended_ = false;
  std::int64_t level_ = 0;
  std::string run_, parts_, shown_;
  Clock::time_point since_ = Clock::now();
  std::thread clock_;
};

}  // namespace oslom

#endif  // OSLOM_PROGRESS_H
