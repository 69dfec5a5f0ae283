// The states of groups in which a border test has failed, by hashes.
//
// A table without chains: a new state takes the place of another, which is then tested again when it comes back.
#ifndef OSLOM_FAILED_STATES_H
#define OSLOM_FAILED_STATES_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace oslom {

class FailedStates {
 public:
  // `capacity` is rounded up to a power of two.
  explicit FailedStates(std::size_t capacity) {
    std::size_t size = 1;
    while (size < capacity) size *= 2;
    hashes_.assign(size, 0);
  }

  bool contains(std::uint64_t hash) const { return hashes_[hash & (hashes_.size() - 1)] == hash; }
  void add(std::uint64_t hash) { hashes_[hash & (hashes_.size() - 1)] = hash; }

 private:
  std::vector<std::uint64_t> hashes_;
};

}  // namespace oslom

#endif  // OSLOM_FAILED_STATES_H
