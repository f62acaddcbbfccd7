//! The records: descriptor numbers, open file descriptions, registrations, instances, and the
//! pointers between them. Code here wakes threads and never waits for them.

pub mod consumer;
pub mod epitem;
pub mod epitem_ext;
pub mod epstate;
pub mod event_array;
pub mod eventpoll;
pub mod exclusive;
pub mod fdtable;
pub mod file;
pub mod inherited;
pub mod internal_fd;
pub mod looked;
pub mod lookup;
pub mod outer;
pub mod own_table;
pub mod parts;
pub mod pin;
pub mod plain;
pub mod pollset;
pub mod ranks;
pub mod ready;
pub mod ring_state;
pub mod signal_numbers;
pub mod stats;
pub mod waitq;
pub mod woken_list;
