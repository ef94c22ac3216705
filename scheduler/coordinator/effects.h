// Performs the scheduler's effects: messages to workers, inspections, folders of models.
//
// Of the loop's thread.
#pragma once

#include "scheduler/coordinator/loop.h"
#include "scheduler/coordinator/models.h"
#include "scheduler/coordinator/workers.h"

namespace tutti::coordinator {

class Effects {
 public:
  // All outlive it.
  Effects(Loop& loop, Workers& workers, Models& models)
      : loop_(loop), workers_(workers), models_(models) {}

  void Perform(const core::Effect& effect, const View& view);

 private:
  void Do(const core::LaunchGang& effect, const View& view);
  void Do(const core::StopGang& effect, const View& view);
  void Do(const core::CheckpointGang& effect, const View& view);
  void Do(const core::InspectJob& effect, const View& view);
  void Do(const core::RegisterModel& effect, const View& view);

  Loop& loop_;
  Workers& workers_;
  Models& models_;
};

}  // namespace tutti::coordinator
