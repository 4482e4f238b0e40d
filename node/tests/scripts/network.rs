//! The network of a script: messages wait in it until the script lets them arrive.

use std::{
    collections::{BTreeSet, VecDeque},
    error::Error,
    fmt::Write as _,
};

use goldenscript::{ArgumentConsumer, Command};
use node::{raft::NodeId, replica::Message};

/// `n3` is node 3.
pub(crate) fn node(text: &str) -> Result<NodeId, Box<dyn Error>> {
    let id = text.strip_prefix('n').ok_or_else(|| format!("{text} is no node; n1 is"))?;
    Ok(id.parse()?)
}

/// Positional arguments that are all nodes.
fn nodes(args: &mut ArgumentConsumer<'_>) -> Result<BTreeSet<NodeId>, Box<dyn Error>> {
    std::iter::from_fn(|| args.next_pos()).map(node).collect()
}

/// See the module.
#[derive(Default)]
pub(crate) struct Network {
    flying: VecDeque<Message>,
    kept: Vec<Message>,
    /// These nodes cannot talk to the others.
    island: BTreeSet<NodeId>,
}

impl Network {
    /// Puts messages behind those in flight.
    pub(crate) fn send(&mut self, messages: impl IntoIterator<Item = Message>) {
        self.flying.extend(messages);
    }

    /// Messages in flight to these nodes (to all when none is named) `from` this one, the first
    /// `count` of them.
    fn take(&mut self, mut args: ArgumentConsumer<'_>) -> Result<Vec<Message>, Box<dyn Error>> {
        let from = args.take_key("from").map(node).transpose()?;
        let mut left = args.take_key("count").map_or(Ok(usize::MAX), str::parse)?;
        let to = nodes(&mut args)?;
        args.reject_next()?;
        let (chosen, rest) = std::mem::take(&mut self.flying).into_iter().partition(|message| {
            let chosen = left > 0
                && (to.is_empty() || to.contains(&message.to))
                && from.is_none_or(|from| message.from == from);
            left -= usize::from(chosen);
            chosen
        });
        self.flying = rest;
        let chosen: VecDeque<_> = chosen;
        Ok(chosen.into())
    }

    fn passes(&self, message: &Message) -> bool {
        self.island.contains(&message.from) == self.island.contains(&message.to)
    }
}

/// Nodes with a network between them.
pub(crate) trait Networked {
    /// The network.
    fn network(&mut self) -> &mut Network;

    /// Whether the node is up.
    fn is_up(&self, id: NodeId) -> bool;

    /// A message arrives at a node that is up; it is told and acted on.
    fn arrive(&mut self, message: Message) -> Result<(), Box<dyn Error>>;

    /// Lets happen what is the network's alone; false for another event.
    fn network_event(&mut self, command: &Command) -> Result<bool, Box<dyn Error>> {
        let mut args = command.consume_args();
        match command.name.as_str() {
            "deliver" => {
                for message in self.network().take(args)? {
                    self.pass(message)?;
                }
            }
            "settle" => {
                args.reject_next()?;
                self.settle()?;
            }
            "lose" => drop(self.network().take(args)?),
            "keep" => {
                let chosen = self.network().take(args)?;
                self.network().kept.extend(chosen);
            }
            "late" => {
                args.reject_next()?;
                let network = self.network();
                network.flying.extend(network.kept.drain(..));
            }
            "double" => {
                for message in self.network().take(args)? {
                    self.network().send([message.clone(), message]);
                }
            }
            "reverse" => {
                let chosen = self.network().take(args)?;
                self.network().send(chosen.into_iter().rev());
            }
            "cut" => self.network().island = nodes(&mut args)?,
            "heal" => {
                args.reject_next()?;
                self.network().island.clear();
            }
            "forge" => {
                let message = crate::forge::message(args)?;
                self.network().send([message]);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Lets messages arrive until none is in flight.
    fn settle(&mut self) -> Result<(), Box<dyn Error>> {
        let mut left = 10_000;
        while let Some(message) = self.network().flying.pop_front() {
            left -= 1;
            if left == 0 {
                return Err("the nodes never fall silent".into());
            }
            self.pass(message)?;
        }
        Ok(())
    }

    /// A message arrives, unless the network is cut or its receiver is down.
    fn pass(&mut self, message: Message) -> Result<(), Box<dyn Error>> {
        if self.network().passes(&message) && self.is_up(message.to) {
            self.arrive(message)?;
        }
        Ok(())
    }
}

/// Adds a line to what a script puts out.
pub(crate) fn tell(out: &mut String, line: impl std::fmt::Display) {
    let _ = writeln!(out, "{line}");
}
