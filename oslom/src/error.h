// The one exception of this program: a sentence for the reader. main.cpp prints it and returns 255.
#ifndef OSLOM_ERROR_H
#define OSLOM_ERROR_H

#include <stdexcept>
#include <string>

namespace oslom {

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& sentence) : std::runtime_error(sentence) {}
};

}  // namespace oslom

#endif  // OSLOM_ERROR_H
