//! What every store promises, as tests: each store runs the same suite, over an empty store each time.

mod changes;
mod history;
mod lists;
mod outbox;

pub(super) use changes::*;
pub(super) use history::*;
pub(super) use lists::*;
pub(super) use outbox::*;

/// Makes one test of each promise. `$open` gives an empty store, and what must live as long as the test.
macro_rules! store_contract {
    ($open:expr) => {
        $crate::store::contract::store_contract! { @tests $open;
            a_key_that_must_be_absent_is_created_once
            a_conflict_names_the_key_and_writes_nothing
            the_same_transaction_commits_once
            concurrent_writers_get_a_dense_sequence
            one_of_many_writers_of_the_same_key_wins
            a_commit_tells_the_members
            a_renewal_tells_the_head
            a_feed_waits_for_the_next_change
            a_feed_starts_in_the_middle
            a_feed_shows_each_commit_as_it_was
            a_follower_ahead_of_the_store_is_told
            snapshot_and_changes_lead_to_the_same_state
            activities_are_numbered_per_tenant
            activities_are_filtered
            a_case_is_found_by_each_of_its_parts
            access_requests_of_one_moment_keep_their_order
            lists_page_by_page_equal_the_whole
            answers_are_remembered_and_forgotten
            slots_and_tenants_are_read_back
            the_newest_rollout_is_read_back_and_followed
            streams_are_read_from_any_number_on
            announcements_are_part_of_their_commit
            an_outbox_is_as_it_was_kept
            dead_letters_are_listed_by_themselves
            the_end_of_a_task_is_told_once_and_stays
        }
    };
    (@tests $open:expr; $($promise:ident)+) => {
        $(#[tokio::test]
        async fn $promise() {
            let (store, _kept) = $open;
            $crate::store::contract::$promise(store).await;
        })+
    };
}
pub(super) use store_contract;
