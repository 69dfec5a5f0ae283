// Threads for independent jobs. Every thread has a study of the graph of its own, so jobs share
// nothing but the graph; and whatever a job computes depends on its index alone, not on its thread.
#ifndef OSLOM_TEAM_H
#define OSLOM_TEAM_H

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "study.h"

namespace oslom {

class Team {
 public:
  Team(const Graph& graph, const Parameters& parameters, const LogFactorial& log_factorial, int threads)
      : Team(graph, parameters, log_factorial, threads, InflationSizes(graph)) {}
  Team(const Graph& graph, const Parameters& parameters, const LogFactorial& log_factorial, int threads,
       const InflationSizes& sizes)
      : graph_(graph), parameters_(parameters), sizes_(sizes), log_factorial_(log_factorial),
        benches_(static_cast<std::size_t>(std::max(threads, 1))) {}

  // The study of the calling thread.
  Study& study() { return bench(0); }

  // From now on all studies use these, or none.
  void use(Judgements* judgements) { judgements_ = judgements; }

  // From now on told after every part of an analysis: parts done, parts in all. From any thread.
  using PartDone = std::function<void(std::int64_t, std::int64_t)>;
  void watch(PartDone part_done) { part_done_ = std::move(part_done); }
  const PartDone& part_done() const { return part_done_; }

  // job(index, study) for 0..count-1, in any order. Of several exceptions one is passed on.
  template <typename Job>
  void run(std::int64_t count, Job job) {
    std::atomic<std::int64_t> next{0};
    std::exception_ptr failure;
    std::mutex guard;
    const auto work = [&](std::size_t thread) {
      try {
        for (std::int64_t index = next++; index < count; index = next++) job(index, bench(thread));
      } catch (...) {
        const std::lock_guard<std::mutex> lock(guard);
        failure = std::current_exception();
        next = count;
      }
    };
    std::vector<std::thread> others;
    const std::size_t wanted =
        static_cast<std::size_t>(std::min<std::int64_t>(count, static_cast<std::int64_t>(benches_.size())));
    try {
      for (std::size_t thread = 1; thread < wanted; ++thread) others.emplace_back(work, thread);
    } catch (const std::exception&) {  // no more threads, or no memory for them: those that started do the work
    }
    work(0);
    for (std::thread& other : others) other.join();
    if (failure) std::rethrow_exception(failure);
  }

 private:
  struct Bench {
    Bench(const Graph& graph, const Parameters& parameters, const LogFactorial& log_factorial,
          const InflationSizes& sizes)
        : probabilities(parameters, log_factorial), study(graph, parameters, probabilities, sizes) {}
    Probabilities probabilities;
    Study study;
  };

  Study& bench(std::size_t thread) {
    std::unique_ptr<Bench>& bench = benches_[thread];
    if (!bench) bench = std::make_unique<Bench>(graph_, parameters_, log_factorial_, sizes_);
    bench->study.judgements = judgements_;
    return bench->study;
  }

  const Graph& graph_;
  const Parameters& parameters_;
  const InflationSizes sizes_;
  const LogFactorial& log_factorial_;
  std::vector<std::unique_ptr<Bench>> benches_;
  Judgements* judgements_ = nullptr;
  PartDone part_done_;
};

// job(index, study) for the independent parts of one analysis, with the help of other threads if there
// are any.
template <typename Job>
void for_each_part(Study& study, std::size_t count, Job job) {
  Team* helpers = std::exchange(study.helpers, nullptr);  // parts of parts are done by one thread
  std::atomic<std::int64_t> done{0};
  const auto part = [&](std::int64_t index, Study& own) {
    job(index, own);
    if (helpers->part_done()) helpers->part_done()(++done, static_cast<std::int64_t>(count));
  };
  if (helpers) helpers->run(static_cast<std::int64_t>(count), part);
  else
    for (std::size_t index = 0; index < count; ++index) job(static_cast<std::int64_t>(index), study);
  study.helpers = helpers;
}

}  // namespace oslom

#endif  // OSLOM_TEAM_H
