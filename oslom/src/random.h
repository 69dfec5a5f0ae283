// Random numbers that are the same on every machine, compiler and number of threads.
//
// A generator is named by a path: seed, then level, run, phase, index, ... Each step of the path is
// one call of child(). child() depends on the name only and not on how many numbers were drawn, so
// independent pieces of work may be done in any order or at the same time.
// Bits: xoshiro256** (Blackman and Vigna 2018), its state filled by splitmix64 from the name.
// Integers and reals are made from the bits here, because std:: distributions differ by library.
#ifndef OSLOM_RANDOM_H
#define OSLOM_RANDOM_H

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace oslom {

// The phases of the search; every phase has its own stream of random numbers.
enum class Phase : std::uint64_t {
  level = 1,
  run,
  label_pass,
  raw_group,
  merge,
  minimality,
  subgroups,
  parts,
  unions,
  overlaps,
  fuse,
  resolve,
  homeless,
  pool,
  hint,
  louvain,
  judgements
};

inline std::uint64_t splitmix64(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

class Random {
 public:
  explicit Random(std::uint64_t name) : name_(name) {
    std::uint64_t state = name;
    for (std::uint64_t& word : words_) word = splitmix64(state);
  }

  Random child(Phase phase, std::uint64_t index = 0) const {
    std::uint64_t state = name_ ^ (static_cast<std::uint64_t>(phase) * 0xd1342543de82ef95ULL);
    state = splitmix64(state) ^ (index + 0x632be59bd9b4e019ULL);
    return Random(splitmix64(state));
  }

  std::uint64_t bits() {
    const std::uint64_t result = rotate(words_[1] * 5, 7) * 9;
    const std::uint64_t shifted = words_[1] << 17;
    words_[2] ^= words_[0];
    words_[3] ^= words_[1];
    words_[1] ^= words_[2];
    words_[0] ^= words_[3];
    words_[2] ^= shifted;
    words_[3] = rotate(words_[3], 45);
    return result;
  }

  // Uniform in the open interval (0,1): the middle of one of 2^52 equal cells.
  double uniform() { return (static_cast<double>(bits() >> 12) + 0.5) * 0x1p-52; }

  // Uniform in 0..bound-1, without bias: draws in the incomplete last block are thrown away.
  std::uint64_t below(std::uint64_t bound) {
    const std::uint64_t incomplete = (0 - bound) % bound;
    std::uint64_t draw = bits();
    while (draw < incomplete) draw = bits();
    return draw % bound;
  }

  template <typename T>
  void shuffle(std::vector<T>& values) {
    for (std::size_t left = values.size(); left > 1; --left) std::swap(values[left - 1], values[below(left)]);
  }

 private:
  static std::uint64_t rotate(std::uint64_t word, int by) { return (word << by) | (word >> (64 - by)); }

  std::uint64_t name_;
  std::uint64_t words_[4];
};

}  // namespace oslom

#endif  // OSLOM_RANDOM_H
