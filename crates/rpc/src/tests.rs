//! Tables over the reasons and the messages, and the real transport over a socket in a temporary folder.

mod reasons;
mod replies;
mod transport;
