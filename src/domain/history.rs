//! A contact's history: point transactions, redeemed vouchers and a summary of purchases. It is requested separately
//! and is not part of a record.

use std::fmt;

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{
    customer::{Money, Voucher},
    listed_enum::{listed_enum, listed_enum_map},
    part::Part,
};

listed_enum! {
    /// A part of a contact's history. Each is fetched, cached and invalidated separately, and is in a response only on
    /// request.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[repr(u8)]
    pub enum HistoryPart {
        /// Past and coming changes of the contact's points.
        PointTransactions => "pointTransactions",
        /// The vouchers that the contact has redeemed.
        RedeemedVouchers => "redeemedVouchers",
        /// How much the contact has bought.
        Purchases => "purchases",
    }
}

listed_enum_map! {
    /// One value for each part of the history.
    pub struct HistoryMap of HistoryPart
}

impl HistoryPart {
    /// The part of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.as_str() == name)
    }

    /// The part of the customer that changes together with this one: an invalidation of that part covers this one.
    pub const fn changes_with(self) -> Part {
        match self {
            Self::PointTransactions => Part::Points,
            Self::RedeemedVouchers => Part::Vouchers,
            Self::Purchases => Part::Profile,
        }
    }
}

/// A set of parts of the history.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct HistorySet(u8);

/// A bit for each part.
const _: () = assert!(HistoryPart::COUNT <= u8::BITS as usize);

impl HistorySet {
    /// No part.
    pub const EMPTY: Self = Self(0);

    /// Whether the part is in the set.
    pub const fn contains(self, part: HistoryPart) -> bool {
        self.0 & (1 << part as u8) != 0
    }

    /// Adds a part.
    pub const fn insert(&mut self, part: HistoryPart) {
        self.0 |= 1 << part as u8;
    }

    /// Whether no part is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every part of this set is in the other.
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The parts, in order of declaration.
    pub fn iter(self) -> impl Iterator<Item = HistoryPart> {
        let parts = HistoryPart::ALL.into_iter();
        parts.filter(move |part| self.contains(*part))
    }
}

impl FromIterator<HistoryPart> for HistorySet {
    fn from_iter<I: IntoIterator<Item = HistoryPart>>(parts: I) -> Self {
        let mut set = Self::EMPTY;
        for part in parts {
            set.insert(part);
        }
        set
    }
}

impl fmt::Debug for HistorySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(HistoryPart::as_str))
            .finish()
    }
}

/// The data of a part of the history.
pub enum History {
    /// Point transactions, the newest first.
    PointTransactions(HistoryList<PointTransaction>),
    /// Redeemed vouchers, the last redeemed first.
    RedeemedVouchers(HistoryList<RedeemedVoucher>),
    /// The purchases; `None` where Engage has computed no summary.
    Purchases(Option<Box<Purchases>>),
}

/// A list, the newest item first.
pub struct HistoryList<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether Engage has older items that were not read.
    pub truncated: bool,
}

impl<T> Default for HistoryList<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            truncated: false,
        }
    }
}

/// An item of a list that has a date and an id.
pub trait Dated {
    /// When it happened.
    fn date(&self) -> Timestamp;

    /// Its id.
    fn id(&self) -> &str;
}

/// A change of a contact's points.
pub struct PointTransaction {
    /// Its id.
    pub id: Box<str>,
    /// Point definition; `None` in API v2, whose transactions name none.
    pub definition_id: Option<Box<str>>,
    /// Its kind in Engage's terms, such as `Addition`.
    pub kind: Option<Box<str>>,
    /// Its source in Engage's terms, such as `Purchase`.
    pub source: Option<Box<str>>,
    /// The change of the balance.
    pub amount: Decimal,
    /// Its description.
    pub description: Option<Box<str>>,
    /// When it happened.
    pub date: Timestamp,
    /// When the points become usable, if known. Until then they are pending.
    pub valid_from: Option<Timestamp>,
    /// Until when they can be used; `None` means for ever, or unknown.
    pub valid_to: Option<Timestamp>,
}

/// A voucher that was redeemed.
pub struct RedeemedVoucher {
    /// The voucher.
    pub voucher: Voucher,
    /// When it was redeemed.
    pub redeemed_on: Timestamp,
    /// The points that were spent on it.
    pub points: Option<Decimal>,
}

/// How much a contact has bought, as Engage last computed it.
#[derive(Default)]
pub struct Purchases {
    /// When Engage computed it.
    pub updated_on: Option<Timestamp>,
    /// The date of the last receipt.
    pub latest_receipt_on: Option<Timestamp>,
    /// Since the first purchase.
    pub all: PurchaseFigures,
    /// In the last year.
    pub last_year: PurchaseFigures,
    /// In the last two years.
    pub last_two_years: PurchaseFigures,
}

/// The purchases of a period, in the currency of the group.
#[derive(Default)]
pub struct PurchaseFigures {
    /// The amount paid in all.
    pub amount: Option<Decimal>,
    /// The number of articles bought.
    pub articles: Option<Decimal>,
    /// The average amount paid per receipt.
    pub average_receipt: Option<Decimal>,
    /// The number of purchases.
    pub frequency: Option<Decimal>,
}

impl Dated for PointTransaction {
    fn date(&self) -> Timestamp {
        self.date
    }

    fn id(&self) -> &str {
        &self.id
    }
}

impl Dated for RedeemedVoucher {
    fn date(&self) -> Timestamp {
        self.redeemed_on
    }

    fn id(&self) -> &str {
        &self.voucher.id
    }
}

impl History {
    /// The heap memory that it owns, in bytes, without what the allocator rounds up.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::PointTransactions(list) => list.heap_bytes(PointTransaction::heap_bytes),
            Self::RedeemedVouchers(list) => list.heap_bytes(RedeemedVoucher::heap_bytes),
            Self::Purchases(purchases) => purchases.as_ref().map_or(0, |_| size_of::<Purchases>()),
        }
    }
}

impl<T> HistoryList<T> {
    fn heap_bytes(&self, of_item: impl Fn(&T) -> usize) -> usize {
        let texts: usize = self.items.iter().map(of_item).sum();
        self.items.capacity() * size_of::<T>() + texts
    }
}

fn length(text: Option<&str>) -> usize {
    text.map_or(0, str::len)
}

impl PointTransaction {
    fn heap_bytes(&self) -> usize {
        let texts = [
            &self.definition_id,
            &self.kind,
            &self.source,
            &self.description,
        ];
        let texts = texts.into_iter().map(|text| length(text.as_deref()));
        self.id.len() + texts.sum::<usize>()
    }
}

impl RedeemedVoucher {
    fn heap_bytes(&self) -> usize {
        let voucher = &self.voucher;
        let money = |money: &Money| money.currency.len();
        let local_values = voucher.local_values.iter();
        voucher.id.len()
            + length(voucher.code.as_deref())
            + length(voucher.name.as_deref())
            + voucher.value.as_ref().map_or(0, money)
            + local_values
                .map(|value| size_of::<Money>() + money(value))
                .sum::<usize>()
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("History(…)")
    }
}
