//! The thread that writes: one ordered queue, group commit.
//!
//! The thread takes everything that is queued, appends it all, syncs once, and reports the last
//! write as durable. So the more waits, the more one sync carries, and the node goes on replicating
//! while its disk works. A failure is reported once and ends the thread: a failed sync says
//! nothing about what is on the disk, so it is never retried.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::sync::mpsc;

use super::machine::Machine;
use crate::{
    replica::WriteId,
    storage::{Record, Wal},
};

/// The queue's end on the replica's side.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::UnboundedSender<(WriteId, Vec<Record>)>,
    durable: mpsc::UnboundedReceiver<Result<WriteId>>,
    size: Arc<AtomicU64>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start<M: Machine>(machine: &Arc<M>, mut wal: Wal<M::Disk>) -> Result<Self> {
        let (queue, mut writes) = mpsc::unbounded_channel();
        let (reports, durable) = mpsc::unbounded_channel();
        let size = Arc::new(AtomicU64::new(wal.size()));
        let thread_size = size.clone();
        let disk = Arc::clone(machine);
        machine.run_disk(async move {
            let written = write(&*disk, &mut wal, &mut writes, &reports, &thread_size).await;
            if let Err(why) = written {
                let _ = reports.send(Err(why));
            }
        })?;
        Ok(Self { queue, durable, size })
    }

    /// Bytes of the log on disk, for `Status`.
    pub(super) fn size(&self) -> Arc<AtomicU64> {
        self.size.clone()
    }

    /// Queues a write.
    pub(super) fn push(&self, id: WriteId, records: Vec<Record>) {
        // The thread only ends with a failure, which `durable` tells.
        let _ = self.queue.send((id, records));
    }

    /// Waits for the next write to be durable; all before it are too.
    pub(super) async fn durable(&mut self) -> Result<WriteId> {
        match self.durable.recv().await {
            Some(report) => report,
            None => anyhow::bail!("the disk's thread ended"),
        }
    }

    /// The same without waiting.
    pub(super) fn try_durable(&mut self) -> Result<Option<WriteId>> {
        self.durable.try_recv().ok().transpose()
    }

    /// Lets the thread write what is queued, and waits for that, but no longer than `patience`.
    pub(super) async fn finish(self, patience: Duration) -> Result<()> {
        let Self { queue, mut durable, .. } = self;
        drop(queue);
        let end = async {
            while let Some(report) = durable.recv().await {
                report?;
            }
            Ok(())
        };
        tokio::time::timeout(patience, end)
            .await
            .with_context(|| format!("the disk did not finish within {patience:?}"))?
    }
}

async fn write<M: Machine>(
    machine: &M,
    wal: &mut Wal<M::Disk>,
    writes: &mut mpsc::UnboundedReceiver<(WriteId, Vec<Record>)>,
    reports: &mpsc::UnboundedSender<Result<WriteId>>,
    size: &AtomicU64,
) -> Result<()> {
    while let Some((mut last, records)) = writes.recv().await {
        wal.append(&records)?;
        while let Ok((id, records)) = writes.try_recv() {
            wal.append(&records)?;
            last = id;
        }
        machine.sync(wal).await?;
        size.store(wal.size(), Ordering::Relaxed);
        let _ = reports.send(Ok(last));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        raft::HardState,
        server::machine::tests::Memory,
        storage::{Failure, Identity, MemoryDisk},
    };

    const IDENTITY: Identity = Identity { cluster: 1, node: 1 };
    const PATIENCE: Duration = Duration::from_secs(10);

    fn record(term: u64) -> Vec<Record> {
        vec![Record::HardState(HardState { term, vote: None })]
    }

    fn wal() -> Wal<MemoryDisk> {
        Wal::open(MemoryDisk::new(), IDENTITY).unwrap().0
    }

    #[tokio::test]
    async fn what_is_queued_shares_a_sync_and_the_last_write_is_reported() {
        let (queue, mut writes) = mpsc::unbounded_channel();
        for id in 1..=100 {
            queue.send((id, record(id))).unwrap();
        }
        drop(queue);
        let mut wal = wal();
        let syncs = wal.disk_mut().syncs();
        let (reports, mut durable) = mpsc::unbounded_channel();
        // As the thread does, with a log that the test keeps.
        write(&Memory, &mut wal, &mut writes, &reports, &AtomicU64::new(0)).await.unwrap();
        assert_eq!(durable.try_recv().unwrap().unwrap(), 100);
        assert!(durable.try_recv().is_err(), "one report for all");
        assert_eq!(wal.disk_mut().syncs(), syncs + 1);
        let (_, recovered) = Wal::open(wal.into_disk(), IDENTITY).unwrap();
        assert_eq!(recovered.state.hard_state.term, 100);
    }

    #[tokio::test]
    async fn writes_become_durable_in_order_and_a_stop_finishes_them() {
        let mut writer = Writer::start(&Arc::new(Memory), wal()).unwrap();
        for id in 1..=100 {
            writer.push(id, record(id));
        }
        let first = writer.durable().await.unwrap();
        assert!((1..=100).contains(&first));
        writer.finish(PATIENCE).await.unwrap();
    }

    #[tokio::test]
    async fn a_failed_sync_is_reported_and_never_tried_again() {
        let mut wal = wal();
        wal.disk_mut().fail(Failure::Sync);
        let mut writer = Writer::start(&Arc::new(Memory), wal).unwrap();
        writer.push(1, record(1));
        writer.push(2, record(2));
        let failure = format!("{:#}", writer.durable().await.unwrap_err());
        assert!(failure.contains("cannot sync"), "{failure}");
        assert!(writer.durable().await.is_err(), "no write counts after that");
    }
}
