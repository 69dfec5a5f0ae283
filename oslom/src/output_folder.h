// The output folder (README.md, "Output"), FILE_oslo_files if nothing else is said. An existing folder is replaced only
// if it holds nothing but files of the names this program writes, none of them an input of this run. All files are
// written under temporary names and then renamed, so that a full disk leaves the old ones; signals that end the program
// wait until all files are in place, and other programs of this kind wait for their turn.
#ifndef OSLOM_OUTPUT_FOLDER_H
#define OSLOM_OUTPUT_FOLDER_H

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <sys/file.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "error.h"

namespace oslom {

// Holds interrupt and termination back while it lives.
class SignalsHeldBack {
 public:
  SignalsHeldBack() {
    sigset_t held;
    sigemptyset(&held);
    for (int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&held, signal);
    pthread_sigmask(SIG_BLOCK, &held, &before_);
  }
  ~SignalsHeldBack() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsHeldBack(const SignalsHeldBack&) = delete;
  SignalsHeldBack& operator=(const SignalsHeldBack&) = delete;

 private:
  sigset_t before_;
};

// Holds other programs that write to the same folder back while it lives. File systems without locks
// do without.
class FolderLock {
 public:
  explicit FolderLock(const std::string& path) : folder_(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (folder_ >= 0) flock(folder_, LOCK_EX);
  }
  ~FolderLock() {
    if (folder_ >= 0) close(folder_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int folder_;
};

// Where the output of an edge file goes if nothing else is said.
inline std::string folder_beside(const std::string& edge_file) {
  const std::filesystem::path folder = std::filesystem::path(edge_file).parent_path();
  std::error_code failure;
  const std::string place = std::filesystem::canonical(folder.empty() ? "." : folder, failure).string() + "/";
  for (const char* devices : {"/dev/fd/", "/proc/"})
    if (place == "/dev/" || place.compare(0, std::strlen(devices), devices) == 0)
      throw Error(edge_file +
                  " is a device or a pipe, and no place for a folder beside it; name the output folder with -out DIR");
  return edge_file + "_oslo_files";
}

class OutputFolder {
 public:
  // `inputs`: files that are read and must stay.
  explicit OutputFolder(std::string path, std::vector<std::string> inputs = {})
      : path_(std::move(path)), inputs_(std::move(inputs)) {
    while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  }

  const std::string& path() const { return path_; }

  // Call before the work: refuses a folder that may not be replaced or cannot be made.
  void check() const {
    if (access(place(longest_name).c_str(), F_OK) != 0 && errno == ENAMETOOLONG)
      throw Error("the name of the folder " + path_ + " is too long; choose another with -out");
    check_handles();
    if (access(path_.c_str(), F_OK) != 0) return check_new();
    if (!std::filesystem::is_directory(path_)) throw Error(path_ + " is in the way: it is not a folder");
    if (access(path_.c_str(), R_OK | W_OK | X_OK) != 0)
      throw Error("cannot write to the folder " + path_ + ": " + std::strerror(errno));
    const FolderLock lock(path_);
    check_content();
  }

  const std::vector<std::pair<std::string, std::string>>& files() const { return files_; }
  void add(const std::string& name, std::string text) { files_.emplace_back(name, std::move(text)); }

  // Replaces the folder's content by the added files.
  void write() const {
    const SignalsHeldBack held;
    std::error_code failure;
    std::filesystem::create_directory(path_, failure);
    if (failure) throw Error("cannot make the folder " + path_ + ": " + failure.message());
    const FolderLock lock(path_);
    check_content();
    remove_if([](const std::string& name) { return unfinished(name); });
    for (const auto& file : files_) write_unfinished(file.first, file.second);
    remove_if([this](const std::string& name) { return !to_be_written(name); });
    for (const auto& file : files_) finish(file.first);
  }

  // tp, tp1, short_tp2, net1, partitions_level_0, statistics_level_0.dat, ... and their temporary names.
  static bool known_name(std::string name) {
    strip_end(name, temporary);
    if (name == "tp" || name == "tp_without_singletons" || name == "tp_scores") return true;
    if (starts(name, "statistics_level_") && !strip_end(name, ".dat")) return false;
    for (const char* stem : {"tp", "short_tp", "net", "partitions_level_", "statistics_level_"})
      if (starts(name, stem) && digits(name.substr(std::strlen(stem)))) return true;
    return false;
  }

 private:
  static constexpr const char* temporary = ".tmp";
  static constexpr const char* longest_name = "statistics_level_1000.dat.tmp";

  static bool starts(const std::string& text, const std::string& start) {
    return text.compare(0, start.size(), start) == 0;
  }

  static bool strip_end(std::string& text, const std::string& end) {
    if (text.size() < end.size() || text.compare(text.size() - end.size(), end.size(), end) != 0) return false;
    text.resize(text.size() - end.size());
    return true;
  }

  static bool digits(const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  }

  static bool ours(const std::filesystem::directory_entry& entry) {
    return std::filesystem::is_regular_file(entry.symlink_status()) && known_name(entry.path().filename().string());
  }

  void check_content() const {
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      for (const std::string& input : inputs_) check_stays(entry.path(), input);
      if (!ours(entry))
        throw Error("the folder " + path_ + " contains " + entry.path().filename().string() +
                    ", which is no output of this program; move the folder away, it would be replaced");
    }
  }

  // Whatever the two are called.
  void check_stays(const std::filesystem::path& replaced, const std::string& input) const {
    std::error_code failure;
    if (std::filesystem::equivalent(replaced, input, failure))
      throw Error("the input " + input + " is in the output folder " + path_ +
                  ", which would be replaced; choose another folder with -out DIR");
  }

  // While files are written two are open: the folder, which is locked, and a file.
  static void check_handles() {
    const int first = open("/", O_RDONLY | O_CLOEXEC), second = open("/", O_RDONLY | O_CLOEXEC);
    const std::string reason = std::strerror(errno);
    for (const int handle : {first, second})
      if (handle >= 0) close(handle);
    if (second < 0)
      throw Error("cannot open two files at once, as writing needs: " + reason + "; raise the limit (ulimit -n)");
  }

  // With "/." only a folder is good enough.
  void check_new() const {
    if (std::filesystem::is_symlink(std::filesystem::symlink_status(path_)))
      throw Error(path_ + " is in the way: it is a symbolic link that leads nowhere");
    const std::string parent = std::filesystem::path(path_).parent_path().string();
    if (access(((parent.empty() ? "." : parent) + "/.").c_str(), W_OK | X_OK) != 0)
      throw Error("cannot make the folder " + path_ + ": " + std::strerror(errno));
  }

  std::string place(const std::string& name) const { return path_ + "/" + name; }

  template <typename Condition>
  void remove_if(Condition condition) const {
    std::vector<std::filesystem::path> old;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      if (condition(entry.path().filename().string())) old.push_back(entry.path());
    for (const std::filesystem::path& path : old) std::filesystem::remove(path);
  }

  // Left over from a run that was killed.
  static bool unfinished(std::string name) { return strip_end(name, temporary); }

  bool to_be_written(std::string name) const {
    strip_end(name, temporary);
    for (const auto& file : files_)
      if (file.first == name) return true;
    return false;
  }

  void write_unfinished(const std::string& name, const std::string& text) const {
    const std::string path = place(name) + temporary;
    std::FILE* file = std::fopen(path.c_str(), "wb");
    bool good = file != nullptr;
    if (file) good = std::fwrite(text.data(), 1, text.size(), file) == text.size();
    if (file && std::fclose(file) != 0) good = false;
    if (!good) give_up(name);
  }

  void finish(const std::string& name) const {
    if (std::rename((place(name) + temporary).c_str(), place(name).c_str()) != 0) give_up(name);
  }

  [[noreturn]] void give_up(const std::string& name) const {
    const std::string reason = std::strerror(errno);
    for (const auto& file : files_) std::remove((place(file.first) + temporary).c_str());
    throw Error("cannot write " + place(name) + ": " + reason);
  }

  std::string path_;
  std::vector<std::string> inputs_;
  std::vector<std::pair<std::string, std::string>> files_;
};

}  // namespace oslom

#endif  // OSLOM_OUTPUT_FOLDER_H
