//! Fixed contacts that exist in every simulated tenant, for any seed. All of them are invented.

mod content;

pub(crate) use content::contacts;

/// The identifiers of a fixed contact; an empty text means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixtureContact {
    /// The contact id.
    pub id: &'static str,
    /// The e-mail address.
    pub email: &'static str,
    /// The mobile phone, with country code.
    pub phone: &'static str,
    /// The national id, in twelve digits.
    pub national_id: &'static str,
    /// The member number.
    pub member_number: &'static str,
    /// The shop's own customer id.
    pub external_id: &'static str,
    /// `Member` or `Contact`.
    pub contact_type: &'static str,
}

/// A complete contact: profile, consents, audiences, vouchers, promotions, two point accounts.
pub const ALVA: FixtureContact = FixtureContact {
    id: "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01",
    email: "alva.testsson@example.com",
    phone: "+46701740605",
    national_id: "198507099805",
    member_number: "100001",
    external_id: "SHOP-55501",
    contact_type: "Member",
};

/// A minimal contact: a `Contact` with an e-mail address, many nulls and empty lists.
pub const BO: FixtureContact = FixtureContact {
    id: "0b8e7a55-93c1-4d2f-9e10-b2c300d41e02",
    email: "bo.minimal@example.com",
    phone: "",
    national_id: "",
    member_number: "",
    external_id: "",
    contact_type: "Contact",
};

/// An unapproved contact with a protected identity and a bounced e-mail address.
pub const CIM: FixtureContact = FixtureContact {
    id: "a4c0de11-2f6b-4b7a-b3d5-b2c300d41e03",
    email: "cim.ovan@example.com",
    phone: "+46701740606",
    national_id: "",
    member_number: "",
    external_id: "",
    contact_type: "Member",
};

/// Shares the e-mail address of [`DINA`].
pub const DORA: FixtureContact = FixtureContact {
    id: "d9e8f7a6-1b2c-4d3e-8f90-b2c300d41e04",
    email: "shared@example.com",
    phone: "+46701740607",
    national_id: "199002149806",
    member_number: "100004",
    external_id: "SHOP-55504",
    contact_type: "Member",
};

/// Shares the e-mail address of [`DORA`].
pub const DINA: FixtureContact = FixtureContact {
    id: "e1a2b3c4-5d6e-4f70-9a81-b2c300d41e05",
    email: "shared@example.com",
    phone: "+46701740608",
    national_id: "199105239801",
    member_number: "100005",
    external_id: "SHOP-55505",
    contact_type: "Member",
};

/// All fixed contacts.
pub const ALL_CONTACTS: [FixtureContact; 5] = [ALVA, BO, CIM, DORA, DINA];
