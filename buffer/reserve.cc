#include "buffer/reserve.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <random>

namespace holdfast {
namespace {

constexpr std::string_view kName = "/reserve";
constexpr std::string_view kProofName = "/reserve.tmp";

}  // namespace

bool is_out_of_room(const Error& error) { return error.code == ENOSPC || error.code == EDQUOT; }

void Reserve::open(std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  bytes_ = bytes;
  static_cast<void>(fs_.unlink(directory_ + std::string(kProofName)));
  const std::string path = directory_ + std::string(kName);
  auto file = fs_.open(path, FileSystem::Mode::read);
  if (!file) return;
  const auto size = (*file)->size();
  const auto allocated = (*file)->allocated();
  there_ = size && *size == bytes_ && allocated && *allocated >= bytes_;
  if (!there_) static_cast<void>(fs_.unlink(path));
}

bool Reserve::release() {
  std::lock_guard lock(mutex_);
  if (!there_) return false;
  if (Status gone = fs_.unlink(directory_ + std::string(kName)); !gone) return false;
  there_ = false;
  owed_ = true;
  // Some file systems hand the blocks out again only when the deletion itself is on the disk.
  static_cast<void>(fs_.sync_directory(directory_));
  return true;
}

Status Reserve::make() {
  std::lock_guard lock(mutex_);
  if (there_) return {};
  const Status made = write(directory_ + std::string(kName));
  there_ = made.ok();
  if (made.ok() || !is_out_of_room(made.error())) owed_ = false;
  return made;
}

Status Reserve::prove_room() {
  std::lock_guard lock(mutex_);
  const std::string path = directory_ + std::string(kProofName);
  const Status wrote = write(path);
  if (wrote.ok()) static_cast<void>(fs_.unlink(path));
  return wrote;
}

Status Reserve::write(const std::string& path) {
  auto file = fs_.open(path, FileSystem::Mode::create_new);
  if (!file && file.error().code == EEXIST) {
    static_cast<void>(fs_.unlink(path));
    file = fs_.open(path, FileSystem::Mode::create_new);
  }
  if (!file) return file.error();
  // Noise: of zeros some file systems make a hole. Not synced: after a loss of power it is made
  // anew.
  std::array<std::uint64_t, 8192> noise{};
  std::minstd_rand random(static_cast<unsigned>(bytes_));
  Status wrote;
  for (std::uint64_t at = 0; at < bytes_ && wrote.ok();) {
    std::generate(noise.begin(), noise.end(),
                  [&random] { return std::uint64_t{random()} << 32 ^ random(); });
    const std::uint64_t length = std::min<std::uint64_t>(sizeof noise, bytes_ - at);
    const iovec part{noise.data(), static_cast<std::size_t>(length)};
    wrote = (*file)->pwritev({&part, 1}, at);
    at += length;
  }
  if (!wrote) static_cast<void>(fs_.unlink(path));
  return wrote;
}

}  // namespace holdfast
