#include "learner/state.h"

#include <algorithm>

#include "base/cursor.h"
#include "base/error.h"

namespace onebit::learner {
namespace {

[[noreturn]] void refuse(std::string message, std::string hint) {
  throw Error(ONEBIT_INVALID_ARGUMENT, std::move(message), std::move(hint));
}

void check_name(const std::string& name) {
  if (!valid_name(name)) {
    refuse(text("the class name ", quoted(name), " cannot be used"),
           text("a name is 1 to ", kNameBytes - 1, " bytes of UTF-8 without control characters"));
  }
}

std::vector<ClassSlot>::iterator find_name(std::vector<ClassSlot>& classes, const std::string& name) {
  return std::find_if(classes.begin(), classes.end(), [&](const ClassSlot& slot) { return slot.name == name; });
}

}  // namespace

bool valid_name(const std::string& name) {
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
  return !name.empty() && name.size() < kNameBytes && is_utf8(name) && std::none_of(name.begin(), name.end(), control);
}

std::vector<uint32_t> State::seen() const {
  std::vector<uint32_t> slots;
  for (uint32_t i = 0; i < classes.size(); ++i) {
    if (!classes[i].name.empty()) slots.push_back(i);
  }
  return slots;
}

uint32_t State::slot_for(const std::string& name) {
  check_name(name);
  auto slot = find_name(classes, name);
  if (slot == classes.end()) {
    slot = find_name(classes, "");
    if (slot == classes.end()) {
      refuse(text("no room for the class ", quoted(name), ": all ", classes.size(), " are in use"),
             "forget a class, or make a learner with a larger max_classes");
    }
    slot->name = name;
  }
  return static_cast<uint32_t>(slot - classes.begin());
}

ClassSlot& State::find(const std::string& name) {
  const auto found = find_name(classes, name);
  if (name.empty() || found == classes.end())
    refuse(text("there is no class ", quoted(name)), "see the names with: onebit learn show");
  return *found;
}

void State::rename(const std::string& name, const std::string& new_name) {
  ClassSlot& slot = find(name);
  check_name(new_name);
  if (find_name(classes, new_name) != classes.end())
    refuse(text("there is a class ", quoted(new_name), " already"), "choose another name");
  slot.name = new_name;
}

}  // namespace onebit::learner
