//! Reads of keys.

use proto::etcd::{
    RangeRequest, RangeResponse,
    range_request::{SortOrder, SortTarget},
};

use super::{Call, key_given};
use crate::kv::{Error, history::History};

impl Call for RangeRequest {
    type Response = RangeResponse;

    fn check(&self) -> Result<(), Error> {
        key_given(&self.key)?;
        if SortOrder::try_from(self.sort_order).is_err()
            || SortTarget::try_from(self.sort_target).is_err()
        {
            return Err(Error::InvalidSortOption);
        }
        Ok(())
    }

    fn is_read(&self) -> bool {
        true
    }

    fn is_serializable(&self) -> bool {
        self.serializable
    }

    fn read(&self, history: &History) -> Result<RangeResponse, Error> {
        history.range(self)
    }

    fn apply(&self, history: &mut History, _: &mut Vec<u8>) -> Result<RangeResponse, Error> {
        self.read(history)
    }
}
