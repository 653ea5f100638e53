//! What the owner means to do comes due, is done, or moves on. The envelope's subject is the task, goal or schedule;
//! `occurred_at` is the moment that was planned, also when the hub was off then and tells it late.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event;
use crate::{EntityId, ScheduleId};

/// The goal that a task is part of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoalPart {
    /// The goal.
    pub id: EntityId,
    /// Its title.
    pub title: String,
}

/// A task's due moment came, and it isn't done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskDue {
    /// The task.
    pub task: EntityId,
    /// Its title.
    pub title: String,
    /// When it is due, as it was said: an instant, a local time, or a day.
    pub due: String,
    /// The due moment.
    pub due_at: DateTime<Utc>,
    /// 1 is the highest, 9 the lowest; 0: none given.
    pub priority: i32,
    /// What it is part of.
    pub goal: Option<GoalPart>,
}
event!(TaskDue, "intention.TaskDue");

/// A task is still not done an hour after its due moment, or, if it was due on a day, when that day is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskOverdue {
    /// The task.
    pub task: EntityId,
    /// Its title.
    pub title: String,
    /// When it was due, as it was said.
    pub due: String,
    /// The due moment.
    pub due_at: DateTime<Utc>,
    /// 1 is the highest, 9 the lowest; 0: none given.
    pub priority: i32,
    /// What it is part of.
    pub goal: Option<GoalPart>,
}
event!(TaskOverdue, "intention.TaskOverdue");

/// The owner wanted to be reminded of a task at this moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReminderDue {
    /// The task.
    pub task: EntityId,
    /// Its title.
    pub title: String,
    /// The reminder as it was said, such as `-PT15M`.
    pub reminder: String,
    /// When the task is due, as it was said.
    pub due: Option<String>,
    /// The task's due moment.
    pub due_at: Option<DateTime<Utc>>,
    /// 1 is the highest, 9 the lowest; 0: none given.
    pub priority: i32,
    /// What it is part of.
    pub goal: Option<GoalPart>,
}
event!(ReminderDue, "intention.ReminderDue");

/// A task, or one occurrence of a recurring one, is done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskCompleted {
    /// The task.
    pub task: EntityId,
    /// Its title.
    pub title: String,
    /// When what was done had been due, as it was said.
    pub due: Option<String>,
    /// When the next occurrence is due; null: there is none.
    pub next_due: Option<String>,
    /// What it is part of.
    pub goal: Option<GoalPart>,
}
event!(TaskCompleted, "intention.TaskCompleted");

/// A goal's due moment came and it is still open.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GoalDue {
    /// The goal.
    pub goal: EntityId,
    /// Its title.
    pub title: String,
    /// When it should be reached, as it was said: an instant, a local time or a day.
    pub due: String,
    /// The due moment.
    pub due_at: DateTime<Utc>,
    /// 1 is the highest, 9 the lowest; 0: none given.
    pub priority: i32,
    /// How far it is, 0 to 1.
    pub progress: f64,
    /// The goal that it is part of.
    pub parent: Option<GoalPart>,
}
event!(GoalDue, "intention.GoalDue");

/// A goal should have been reached by now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GoalOverdue {
    /// The goal.
    pub goal: EntityId,
    /// Its title.
    pub title: String,
    /// When it should have been reached, as it was said.
    pub due: String,
    /// The due moment.
    pub due_at: DateTime<Utc>,
    /// 1 is the highest, 9 the lowest; 0: none given.
    pub priority: i32,
    /// How far it is, 0 to 1.
    pub progress: f64,
    /// The goal that it is part of.
    pub parent: Option<GoalPart>,
}
event!(GoalOverdue, "intention.GoalOverdue");

/// A goal's progress moved: a task or a goal of it moved, was added or reopened, or the owner said so.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GoalProgressed {
    /// The goal.
    pub goal: EntityId,
    /// Its title.
    pub title: String,
    /// The progress before, 0 to 1.
    pub from: f64,
    /// The progress now, 0 to 1.
    pub to: f64,
    /// How many of its tasks are done.
    pub done: i64,
    /// How many tasks it has; cancelled ones don't count.
    pub total: i64,
}
event!(GoalProgressed, "intention.GoalProgressed");

/// A schedule's planned moment came.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScheduleFired {
    /// The schedule.
    pub schedule: ScheduleId,
    /// Its name, by which rules know it.
    pub name: String,
    /// The moment that was planned; of several that were missed, the latest.
    pub planned_at: DateTime<Utc>,
}
event!(ScheduleFired, "intention.ScheduleFired");
